"""The proof that rows are in the table: applied, then counted series by series."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from feefifod.errors import Unavailable
from feefifod.failpoint import Step, reach
from feefifod.model import Source
from feefifod.sink import SeriesCount, SeriesKey, count_one, count_series, read_identity, wait_applied

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from feefifod.ingest.tools import Tools
    from feefifod.sweep import SweepFile, Tally


class NotProven(Unavailable):
    """The table holds fewer rows than were acknowledged: they are sent again."""


@dataclass(slots=True)
class Expected:
    """Rows that a series must have at least between two instants (unix seconds, both included)."""

    rows: int = 0
    first_seconds: int = 2**62
    last_seconds: int = 0


def expect(
    files: Iterable[SweepFile], tallies: Mapping[int, Tally], merged: Mapping[str, int]
) -> dict[tuple[int, int, str], Expected]:
    """Add up what was sent, by series (asset id, interval in minutes, quote)."""
    expected: dict[tuple[int, int, str], Expected] = defaultdict(Expected)
    for file in files:
        tally = tallies[file.id]
        series = expected[file.asset_id, file.interval_minutes, file.quote]
        series.rows += tally.rows
        series.first_seconds = min(series.first_seconds, tally.first_seconds)
        series.last_seconds = max(series.last_seconds, tally.last_seconds)
    for file in files:
        key = (file.asset_id, file.interval_minutes, file.quote)
        lost = merged.get(file.series, 0)
        if lost:
            expected[key].rows -= lost
            merged = {series: rows for series, rows in merged.items() if series != file.series}
    return dict(expected)


async def prove(tools: Tools, table_id: str, expected: Mapping[tuple[int, int, str], Expected]) -> None:
    """Wait until everything acknowledged is applied, then count it.

    Raises:
        NotProven: rows are missing, or the table is another one than at the start of the batch.
    """
    if not expected:
        return
    table = tools.questdb.table
    await tools.patiently(partial(wait_applied, tools.client, table))
    reach(Step.APPLIED)
    first = min(series.first_seconds for series in expected.values())
    last = max(series.last_seconds for series in expected.values())
    counted: dict[SeriesKey, SeriesCount] = {}
    for start, end in tools.client.partitioning(table).divide(first * 1_000_000, last * 1_000_000):
        counts = await tools.patiently(partial(count_series, tools.client, table, Source.KRAKEN, start, end))
        for key, count in counts.items():
            counted[key] = counted[key] + count if key in counted else count
    for key, series in expected.items():
        found = counted.get(key)
        rows = found.rows if found else 0
        first_us, last_us = series.first_seconds * 1_000_000, series.last_seconds * 1_000_000
        if found and ((found.first_us or 0) < first_us or (found.last_us or 0) > last_us):
            # Others have rows of this series within the batch's range but outside this file's.
            rows = await _count_exactly(tools, key, first_us, last_us)
        if rows < series.rows:
            structlog.get_logger().error(
                "rows_missing", asset_id=key[0], interval_minutes=key[1], quote=key[2], sent=series.rows, counted=rows
            )
            raise NotProven(
                f"the table holds {rows} of the {series.rows} rows that were sent",
                where=f"asset {key[0]}, {key[1]} minutes, {key[2]}",
                remedy="They are sent again",
            )
    identity = await tools.patiently(partial(read_identity, tools.client, table))
    if str(identity) != table_id:
        raise NotProven("the table was dropped or replaced while rows were sent", remedy="They are sent again")


async def _count_exactly(tools: Tools, key: tuple[int, int, str], first_us: int, last_us: int) -> int:
    rows = 0
    for start, end in tools.client.partitioning(tools.questdb.table).divide(first_us, last_us):
        question = partial(
            count_one,
            tools.client,
            tools.questdb.table,
            source=Source.KRAKEN,
            asset_id=key[0],
            interval_minutes=key[1],
            quote=key[2],
            first_us=start,
            last_us=end,
        )
        rows += (await tools.patiently(question)).rows
    return rows
