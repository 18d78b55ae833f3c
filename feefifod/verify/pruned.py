"""Files that are no longer kept: fingerprints stand for their rows, month by month."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol

from feefifod.sink.checksums import Checksum
from feefifod.verify.groups import end_month, start_month
from feefifod.verify.report import format_month
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from feefifod.catalog.verification import DoneFile, PrunedFile


class _Dated(Protocol):
    @property
    def first_seconds(self) -> int: ...

    @property
    def last_seconds(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can be said of the months that pruned files of a series touch, each by its first microsecond.

    Attributes:
        standing: their fingerprint counts, on top of what files say that are still kept.
        blind: another file with candles of the same time came in; nothing can be said of the month any more.
    """

    standing: frozenset[int]
    blind: frozenset[int]


def judge_months(kept: Sequence[DoneFile], pruned: Sequence[PrunedFile], known: Mapping[int, object]) -> Outlook:
    """Judge the months of a series that pruned files touch.

    A month is judged by the files alone again when every pruned file in it was loaded anew.

    Args:
        known: the months that have a fingerprint.
    """
    again = {file.sha256 for file in kept}
    by_month: dict[int, list[PrunedFile]] = {}
    for file in pruned:
        for month in list_months(file):
            by_month.setdefault(month, []).append(file)
    standing, blind = set(), set()
    for month, its in by_month.items():
        if all(file.sha256 in again for file in its):
            continue
        if month not in known or any(_overlap(one, other) for one in its for other in kept):
            blind.add(month)
        else:
            standing.add(month)
    return Outlook(frozenset(standing), frozenset(blind))


def _overlap(one: _Dated, other: _Dated) -> bool:
    return one.first_seconds <= other.last_seconds and other.first_seconds <= one.last_seconds


def list_months(file: _Dated) -> Iterator[int]:
    """Yield the months that a file touches, each by its first instant in microseconds."""
    month = start_month(file.first_seconds * 1_000_000)
    while month <= file.last_seconds * 1_000_000:
        yield month
        month = end_month(month)


def write_checksum(checksum: Checksum) -> list[Any]:
    """Return a fingerprint as the ledger keeps it; the sums are texts, for JSON numbers may lose their last digits."""
    *values, sums = asdict(checksum).values()
    return [*values, [str(number) for number in sums]]


def read_checksum(values: Sequence[Any]) -> Checksum:
    """Read what `write_checksum` has written."""
    names = [column.name for column in fields(Checksum)]
    return Checksum(**{**dict(zip(names, values, strict=True)), "sums": tuple(int(number) for number in values[-1])})


def name_months(months: Iterable[int]) -> str:
    """Write months for people: the first and the last, and how many there are."""
    listed = sorted(months)
    if len(listed) == 1:
        return format_month(listed[0])
    return f"{count_of(len(listed), 'month')} from {format_month(listed[0])} to {format_month(listed[-1])}"
