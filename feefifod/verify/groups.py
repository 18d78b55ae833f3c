"""Groups of series that are compared together: few questions to the server, and bounded memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from feefifod.catalog.verification import DoneFile, PrunedFile
    from feefifod.model import Series

_GROUP_FILES: Final = 2_000
_GROUP_MONTHS: Final = 40_000
_GROUP_ROWS: Final = 8_000_000
_MONTH_SECONDS: Final = 2_629_746

SeriesKey = tuple[int, int, str]
"""asset_id, interval_minutes, quote."""


class Place(NamedTuple):
    """When a file came in: its number among all, and that of its batch."""

    order: int
    era: int


@dataclass(frozen=True, slots=True)
class Member:
    """A series: its asset, its files in the order in which they came in, and those that are no longer kept."""

    series: Series
    asset_id: int
    files: tuple[tuple[Place, DoneFile], ...]
    pruned: tuple[PrunedFile, ...] = ()

    @property
    def key(self) -> SeriesKey:
        """The series as the table has it."""
        return self.asset_id, self.series.interval_minutes, self.series.quote

    @property
    def ids(self) -> tuple[int, ...]:
        """The ledger rows of its files."""
        return tuple(file.id for _, file in self.files)

    @property
    def version(self) -> tuple[object, ...]:
        """What has to be the same for a comparison to stand: the files, where they lie, and what is pruned."""
        return tuple((file.id, file.moved_to) for _, file in self.files), len(self.pruned)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(dict.fromkeys(file.name for _, file in self.files))

    @property
    def rows(self) -> int:
        """Rows of all files, as the ledger counts them."""
        return sum(file.rows_accepted for _, file in self.files)


def make_members(
    files: Sequence[DoneFile], asset_ids: Mapping[tuple[str, str], int], pruned: Sequence[PrunedFile] = ()
) -> dict[Series, Member]:
    """Put files, given in the order in which they came in, together by series; ones without an asset are left out."""
    gone: dict[Series, list[PrunedFile]] = defaultdict(list)
    for pruned_file in pruned:
        gone[pruned_file.series].append(pruned_file)
    by_series: dict[Series, list[tuple[Place, DoneFile]]] = defaultdict(list)
    # The files of a batch are recorded in one transaction, hence at one time.
    eras = {loaded_at: era for era, loaded_at in enumerate(sorted({file.loaded_at for file in files}))}
    for order, file in enumerate(files):
        by_series[file.series].append((Place(order, eras[file.loaded_at]), file))
    return {
        series: Member(
            series,
            asset_ids[series.ticker, series.category],
            tuple(by_series.get(series, ())),
            tuple(gone.get(series, ())),
        )
        for series in [*by_series, *(series for series in gone if series not in by_series)]
        if (series.ticker, series.category) in asset_ids
    }


def divide(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Divide series into groups that fit in memory, however many files and months there are."""
    group: list[Member] = []
    files = months = rows = 0
    for member in sorted(members, key=lambda member: member.key):
        spans = [(file.first_seconds, file.last_seconds) for _, file in member.files]
        spans += [(file.first_seconds, file.last_seconds) for file in member.pruned]
        its_months = sum((last - first) // _MONTH_SECONDS + 2 for first, last in spans)
        files += len(member.files)
        months += its_months
        rows += member.rows
        if group and (files > _GROUP_FILES or months > _GROUP_MONTHS or rows > _GROUP_ROWS):
            yield group
            group, files, months, rows = [], len(member.files), its_months, member.rows
        group.append(member)
    if group:
        yield group


def start_month(us: int) -> int:
    """Return the first instant of the month of this one."""
    return _month(us, 0)


def end_month(us: int) -> int:
    """Return the first instant of the month after this one's."""
    return _month(us, 1)


def _month(us: int, later: int) -> int:
    month = np.int64(us).view("datetime64[us]").astype("datetime64[M]") + later
    return int(month.astype("datetime64[us]").view(np.int64))
