"""The comparison of one group of series: what its files say against what the table says, month by month."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.model import Source
from feefifod.sink import read_ends
from feefifod.sink.checksums import checksum_frame, group_months, read_candles, read_checksums
from feefifod.sweep import Irregular
from feefifod.verify.archived import Archived, Lost, find_archived
from feefifod.verify.candles import FileRows, compare_rows
from feefifod.verify.groups import end_month
from feefifod.verify.kit import bare_errors
from feefifod.verify.pruned import judge_months, list_months, read_checksum
from feefifod.verify.report import Difference, Kind, RowCounts, format_month
from feefifod.verify.sweeping import Entry, Span, sweep_archive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from feefifod.model import Frame
    from feefifod.sink.checksums import Checksum, SeriesMonth
    from feefifod.verify.groups import Member, SeriesKey
    from feefifod.verify.kit import Kit
    from feefifod.verify.pruned import Outlook

_BATCH_ROWS: Final = 1_000_000
_DETAILED_ROWS: Final = 4_000_000
"""Beyond so many rows in months that differ, further months are named without a look at their rows."""

_FIRST_SECONDS: Final = 0
_UNTIL_SECONDS: Final = 7_258_118_400
"""1970 and 2200: where the table is looked at unless a span says otherwise."""

_REPAIR: Final = "feefifod verify --repair"
_BEYOND_REPAIR: Final = (
    "QuestDB cannot delete single rows: only dropping the table or the partition removes what others wrote"
)


@dataclass(slots=True)
class Check:
    """One group of series at work.

    Attributes:
        span: only rows in it are compared; it begins and ends with a month.
        scratch: where members of zips lie while they are compared; it need not exist, and is the caller's to remove.
        entries: the files as they were found in the archive, of series that are complete there.
        outlooks: what can be said of months of which files are pruned.
        expected: what the table has to hold, by series and the month's first microsecond; filled by `run`.
        unstable: months whose fingerprint the server works out otherwise, although the rows may be equal.
    """

    kit: Kit
    table_id: str
    members: Sequence[Member]
    span: Span
    scratch: Path
    entries: dict[SeriesKey, list[Entry]] = field(default_factory=dict)
    outlooks: dict[SeriesKey, Outlook] = field(default_factory=dict)
    expected: dict[SeriesKey, dict[int, Checksum]] = field(default_factory=dict)
    unstable: dict[SeriesKey, set[int]] = field(default_factory=dict)

    async def run(self) -> list[Difference]:
        """Compare; returns what differs.

        Raises:
            Refused: a server says no, or is away for too long.
        """
        lost = await self._find_files()
        everything: dict[SeriesMonth, Checksum] = {}
        with bare_errors():
            async with anyio.create_task_group() as tasks:
                # The server works out its side while we work out ours.
                tasks.start_soon(self._read_table, everything, name="table")
                expected = await self._read_files(lost)
        found = {key: checksum for key, checksum in everything.items() if key[:3] in self.entries}
        await self._account_for_pruned(expected, found)
        for key, checksum in expected.items():
            self.expected.setdefault(key[:3], {})[key[3]] = checksum
            if checksum != found.get(key):
                self.unstable.setdefault(key[:3], set()).add(key[3])
        suspects = [
            key
            for key in expected.keys() | found.keys()
            if not _agree(expected.get(key), found.get(key), needed_exact=not self._is_pruned(key))
        ]
        rows = await self._look_at_rows([key for key in suspects if not self._is_pruned(key)], expected, found)
        differences = [_tell_lost(member, item) for member, item in lost]
        members = {member.key: member for member in self.members}
        for key in sorted(suspects):
            counts = rows.get(key)
            if self._is_pruned(key):
                differences.append(_tell_pruned(members[key[:3]], key, expected.get(key), found.get(key)))
            elif counts is None or not counts.equal:
                differences.append(_tell_rows(members[key[:3]], key, expected.get(key), found.get(key), counts))
        return differences

    async def _find_files(self) -> list[tuple[Member, Lost]]:
        """Find the files of all series; a series of which one is lost is not compared."""
        lost: list[tuple[Member, Lost]] = []
        flat = [(member, place, file) for member in self.members for place, file in member.files]
        results = await find_archived(self.kit, [file for _, _, file in flat], self.scratch)
        self.entries = {member.key: [] for member in self.members}
        for key, found in groupby(zip(flat, results, strict=True), key=lambda pair: pair[0][0].key):
            for (member, place, _), result in found:
                if isinstance(result, Archived):
                    self.entries[key].append(Entry(result, member.asset_id, place))
                else:
                    lost.append((member, result))
        self._leave_out(lost)
        return lost

    def _leave_out(self, lost: Sequence[tuple[Member, Lost]]) -> None:
        for member, _ in lost:
            self.entries.pop(member.key, None)

    async def _read_files(self, lost: list[tuple[Member, Lost]]) -> dict[SeriesMonth, Checksum]:
        """Work out what the files say; anew, when one turns out to be in disorder or to have changed."""
        while True:
            result: dict[SeriesMonth, Checksum] = {}

            async def take(frame: Frame, result: dict[SeriesMonth, Checksum] = result) -> None:
                checksums = await to_thread.run_sync(checksum_frame, frame, limiter=self.kit.reading)
                for key, checksum in checksums.items():
                    if key in result:
                        result[key].add(checksum)
                    else:
                        result[key] = checksum
                self.kit.listener.compared(0, len(frame))

            refused = await sweep_archive(self.kit, self.select_entries(self.entries), self.span, take)
            if not refused:
                return result
            for member in self.members:
                for index, entry in enumerate(self.entries.get(member.key, ())):
                    archived = entry.archived
                    error = refused.get(archived.file.id)
                    if isinstance(error, Irregular) and not archived.irregular:
                        self.entries[member.key][index] = replace(entry, archived=replace(archived, irregular=True))
                    elif error is not None:
                        lost.append((member, Lost(archived.file, f"{archived.path}: {error}")))
            self._leave_out(lost)

    def select_entries(self, keys: Collection[SeriesKey]) -> list[Entry]:
        """Return the files of some series."""
        return [entry for key in keys for entry in self.entries[key]]

    async def _read_table(self, found: dict[SeriesMonth, Checksum]) -> None:
        if not self.entries:
            return
        first, until = self.span.start_seconds or _FIRST_SECONDS, self.span.until_seconds or _UNTIL_SECONDS
        client, table = self.kit.client, self.kit.questdb.table
        ends = await self.kit.patiently(partial(read_ends, client, table))
        for start, end in client.partitioning(table).divide_within(first * 1_000_000, until * 1_000_000 - 1, ends):
            question = partial(
                read_checksums,
                client,
                table,
                source=Source.KRAKEN,
                assets={asset_id for asset_id, _, _ in self.entries},
                intervals={minutes for _, minutes, _ in self.entries},
                first_us=start,
                last_us=end,
            )
            for key, checksum in (await self.kit.patiently(question)).items():
                if key in found:
                    found[key].add(checksum)
                else:
                    found[key] = checksum

    async def _account_for_pruned(
        self, expected: dict[SeriesMonth, Checksum], found: dict[SeriesMonth, Checksum]
    ) -> None:
        """Add what stands for pruned files to what files say; leave out months of which nothing can be said."""
        concerned = [member for member in self.members if member.pruned and member.key in self.entries]
        reading = partial(self.kit.claims.read_fingerprints, self.table_id, [member.series for member in concerned])
        known = await self.kit.patiently(reading)
        for member in concerned:
            fingerprints = known.get(member.series, {})
            outlook = judge_months([file for _, file in member.files], member.pruned, fingerprints)
            self.outlooks[member.key] = outlook
            for month in outlook.blind:
                expected.pop((*member.key, month), None)
                found.pop((*member.key, month), None)
            for month in outlook.standing:
                values = fingerprints[month]
                if values is not None and self.span.touches(month // 1_000_000, end_month(month) // 1_000_000 - 1):
                    checksum = read_checksum(values)
                    if (of_files := expected.get((*member.key, month))) is not None:
                        checksum.add(of_files)
                    expected[*member.key, month] = checksum

    def _is_pruned(self, key: SeriesMonth) -> bool:
        outlook = self.outlooks.get(key[:3])
        return outlook is not None and key[3] in outlook.standing

    async def _look_at_rows(
        self,
        suspects: Collection[SeriesMonth],
        expected: Mapping[SeriesMonth, Checksum],
        found: Mapping[SeriesMonth, Checksum],
    ) -> dict[SeriesMonth, RowCounts]:
        """Compare the rows of months whose fingerprints differ, or prove nothing."""
        results: dict[SeriesMonth, RowCounts] = {}
        sizes: dict[SeriesMonth, int] = {}
        looked_at = 0
        for key in sorted(suspects, key=lambda key: key[3]):
            here, there = expected.get(key), found.get(key)
            if here is None or there is None:
                results[key] = RowCounts(here.rows if here else 0, there.rows if there else 0, 0)
                continue
            size = here.rows + there.rows
            if here == there or looked_at + size <= _DETAILED_ROWS:
                looked_at += size if here != there else 0
                sizes[key] = size
        for batch in _cut(sizes):
            results |= await self._look_at_batch(batch)
        return results

    async def _look_at_batch(self, keys: Collection[SeriesMonth]) -> dict[SeriesMonth, RowCounts]:
        files = {key: FileRows() for key in keys}

        async def take(frame: Frame) -> None:
            for key, rows in group_months(frame).rows().items():
                if key in files:
                    files[key].add(frame, rows)

        months = [key[3] for key in keys]
        span = Span(min(months) // 1_000_000, end_month(max(months)) // 1_000_000)
        if await sweep_archive(self.kit, self.select_entries({key[:3] for key in keys}), span, take):
            return {}  # A file has changed since it was read; its rows prove nothing any more.
        results = {}
        for (asset_id, minutes, quote, month), rows in files.items():
            stored = await self.kit.patiently(
                partial(
                    read_candles,
                    self.kit.client,
                    self.kit.questdb.table,
                    source=Source.KRAKEN,
                    asset_id=asset_id,
                    interval_minutes=minutes,
                    quote=quote,
                    first_us=month,
                    last_us=end_month(month) - 1,
                )
            )
            results[asset_id, minutes, quote, month] = compare_rows(rows, stored)
        return results


def _agree(expected: Checksum | None, found: Checksum | None, *, needed_exact: bool) -> bool:
    """Tell whether fingerprints prove that the rows are equal; of pruned files there is no better proof than theirs."""
    if expected is None or found is None or expected != found:
        return False
    return not needed_exact or (expected.exact and found.exact)


def _cut(sizes: Mapping[SeriesMonth, int]) -> Iterator[list[SeriesMonth]]:
    batch: list[SeriesMonth] = []
    rows = 0
    for key, size in sizes.items():
        if batch and rows + size > _BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(key)
        rows += size
    if batch:
        yield batch


def _tell_lost(member: Member, lost: Lost) -> Difference:
    return Difference(
        Kind.ARCHIVE,
        member.series,
        "",
        (lost.file.name,),
        f"{lost.reason}; the series cannot be compared without it",
        remedy="Put the file back as it was; or drop it again, and it is loaded again",
    )


def _tell_pruned(member: Member, key: SeriesMonth, expected: Checksum | None, found: Checksum | None) -> Difference:
    month = key[3]
    names = tuple(dict.fromkeys(file.name for file in member.pruned if month in list_months(file)))
    return Difference(
        Kind.PRUNED,
        member.series,
        format_month(month),
        names,
        f"the table holds other rows than were proven before {', '.join(names)} left the archive by retention",
        expected,
        found,
        remedy="It cannot be repaired from the archive any more. Drop a copy of the file again, and when it lies in"
        f" ingested/: feefifod retry --overwrite {names[0]}",
        key=key,
    )


def _tell_rows(
    member: Member, key: SeriesMonth, expected: Checksum | None, found: Checksum | None, counts: RowCounts | None
) -> Difference:
    if counts is None:
        reason = "the table holds other rows than the files"
    else:
        parts = [
            f"{count:,} {'row' if count == 1 else 'rows'} {words}"
            for count, words in (
                (counts.missing, "missing in the table"),
                (counts.extra, "too many in the table"),
                (counts.changed, "with other values"),
            )
            if count
        ]
        reason = ", ".join(parts)
    difference = Difference(
        Kind.ROWS, member.series, format_month(key[3]), member.names, reason, expected, found, counts, _REPAIR, key
    )
    return difference if difference.repairable else replace(difference, remedy=_BEYOND_REPAIR)
