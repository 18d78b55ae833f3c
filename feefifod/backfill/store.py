"""From fetched to proven: compare with the table, send, wait until applied, look again, record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from feefifod.backfill.outline import last_session
from feefifod.backfill.report import Preview
from feefifod.backfill.stored import key_of, read_stored, values_of
from feefifod.errors import Refused
from feefifod.model import INT_NULL, Category, Frame, Source
from feefifod.repartition import use_table
from feefifod.schedule.sessions import day_microseconds
from feefifod.sink import read_identity, send_in_steps, wait_applied
from feefifod.sources.symbols import Market, market_of
from feefifod.wording import count_of

_TRIES: Final = 3
"""How often candles are sent that the table acknowledges, but does not hold afterwards."""

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from feefifod.backfill.fetch import Fetched
    from feefifod.backfill.outline import Outline
    from feefifod.backfill.report import Report
    from feefifod.backfill.stored import Key, Values
    from feefifod.backfill.tools import Tools
    from feefifod.sink import TableIdentity
    from feefifod.sources.candle import DayCandle


@dataclass(slots=True)
class Store:
    """Takes what calls brought. Without a run id it is a dry run: it writes nothing, and keeps what it would write.

    Attributes:
        identity: the table as it was at the start; None in a dry run, when there may be no table yet.
    """

    tools: Tools
    outline: Outline
    report: Report
    run_id: int | None
    identity: TableIdentity | None

    async def take(self, batch: Sequence[Fetched]) -> None:
        """Store a batch and count it into the report.

        Raises:
            Refused: a server says no or is away for too long, or the table was replaced.
        """
        before = await self._read(batch)
        wanted: dict[Key, DayCandle] = {}
        for fetched in batch:
            for asset_id, candles in fetched.candles.items():
                wanted |= {key_of(asset_id, candle): candle for candle in candles}
        changes = {key: candle for key, candle in wanted.items() if before.get(key) != values_of(candle)}
        if self.run_id is None:
            self._preview(changes, before)
        else:
            await self._write(batch, changes)
        quiet = self._list_quiet(batch, before)
        if self.run_id is not None:
            await self.tools.patiently(partial(self.tools.runs.record_no_trades, self.outline.source, quiet))
        self._count(changes, before, quiet)
        if self.run_id is not None:
            await self.tools.patiently(partial(self.tools.runs.report, self.run_id, self.report.counts()))

    async def _read(self, batch: Sequence[Fetched]) -> dict[Key, Values]:
        stored: dict[Key, Values] = {}
        if self.identity is not None:
            for fetched in batch:
                ids = fetched.asset_ids
                stored |= await read_stored(self.tools, self.outline.source, ids, fetched.start, fetched.end)
        return stored

    async def _write(self, batch: Sequence[Fetched], changes: Mapping[Key, DayCandle]) -> None:
        if not changes:
            return
        source = self.outline.source
        stocks = {asset_id for asset_id, _, _ in changes if self._trades_stocks(asset_id)}
        if source is Source.MASSIVE and stocks:
            # Before the rows: a crash in between must not let them seem newer than they are.
            session = last_session(Category.STOCK, source, self.tools.now())
            await self.tools.patiently(partial(self.tools.runs.begin_basis, source, stocks, session))
        copies, table = self.tools.copies, self.tools.questdb.table
        async with use_table(self.tools.client, table, copies, "a backfill", self.tools.patiently) as identity:
            before, now = str(self.identity), str(identity)
            if identity != self.identity and await self.tools.patiently(partial(copies.succeeds, now, before)):
                self.identity = identity  # All that was stored so far is in the copy, too.
            await self._send(batch, changes)

    async def _send(self, batch: Sequence[Fetched], changes: Mapping[Key, DayCandle]) -> None:
        """Send candles until the table holds each of them."""
        source, table = self.outline.source, self.tools.questdb.table
        missing = dict(changes)
        for _ in range(_TRIES):
            frame = make_frame(missing, source)
            await send_in_steps(self.tools.lane, frame, self.tools.client, table, self.tools.patiently)
            missing = await self._find_missing(batch, missing)
            if not missing:
                return
            structlog.get_logger().error("candles_missing", sent=len(changes), missing=len(missing))
        raise Refused(
            f"the table does not hold {len(missing)} of {count_of(len(changes), 'candle')} that it acknowledged",
            where=table,
            remedy="Run the backfill again: it asks for what is missing",
        )

    async def _find_missing(self, batch: Sequence[Fetched], sent: Mapping[Key, DayCandle]) -> dict[Key, DayCandle]:
        """Prove what was sent as files are proven: applied, read back bit for bit, in the same table as before.

        Raises:
            Refused: the table is another one.
        """
        table = self.tools.questdb.table
        await self.tools.patiently(partial(wait_applied, self.tools.client, table))
        after = await self._read(batch)
        identity = await self.tools.patiently(partial(read_identity, self.tools.client, table))
        if identity != self.identity:
            raise Refused(
                "the table was dropped or replaced while candles were stored",
                where=table,
                remedy="Run the backfill again: it asks for what is missing",
            )
        return {key: candle for key, candle in sent.items() if after.get(key) != values_of(candle)}

    def _trades_stocks(self, asset_id: int) -> bool:
        return market_of(self.outline.targets[asset_id].asset.category) is Market.STOCKS

    def _preview(self, changes: Mapping[Key, DayCandle], before: Mapping[Key, Values]) -> None:
        for key, candle in changes.items():
            asset = self.outline.targets[key[0]].asset
            self.report.previews.append(Preview(asset, candle, "changed" if key in before else "new"))

    def _list_quiet(self, batch: Sequence[Fetched], before: Mapping[Key, Values]) -> list[tuple[int, str, date]]:
        """Return the sessions without trades; one that is stored had some, whatever the API says now."""
        stored = {(asset_id, time_us) for asset_id, _, time_us in before}
        return [
            (asset_id, self.outline.targets[asset_id].symbol.text, session)
            for fetched in batch
            for asset_id, sessions in fetched.absent.items()
            for session in sessions
            if (asset_id, day_microseconds(session)) not in stored
        ]

    def _count(
        self, changes: Mapping[Key, DayCandle], before: Mapping[Key, Values], quiet: Sequence[tuple[int, str, date]]
    ) -> None:
        for key in changes:
            result = self.report.results[key[0]]
            if key in before:
                result.updated += 1
                # It was counted as stored when the run was planned.
                result.unchanged = max(0, result.unchanged - 1)
            else:
                result.created += 1
        for asset_id, _, _ in quiet:
            self.report.results[asset_id].no_trades += 1


def make_frame(candles: Mapping[Key, DayCandle], source: Source) -> Frame:
    """Make the rows of day candles, sorted by time."""
    ordered = sorted(candles.items(), key=lambda item: (item[0][2], item[0][0], item[0][1]))
    quotes = tuple(sorted({quote for (_, quote, _), _ in ordered}))
    codes = {quote: code for code, quote in enumerate(quotes)}
    rows = [candle for _, candle in ordered]
    return Frame(
        time_us=np.array([time_us for (_, _, time_us), _ in ordered], np.int64),
        asset_id=np.array([asset_id for (asset_id, _, _), _ in ordered], np.int32),
        open=np.array([row.open for row in rows], np.float64),
        high=np.array([row.high for row in rows], np.float64),
        low=np.array([row.low for row in rows], np.float64),
        close=np.array([row.close for row in rows], np.float64),
        volume=np.array([row.volume for row in rows], np.float64),
        interval_minutes=np.full(len(rows), 1440, np.int32),
        trade_count=np.array([INT_NULL if row.trade_count is None else row.trade_count for row in rows], np.int32),
        quote_code=np.array([codes[quote] for (_, quote, _), _ in ordered], np.int32),
        quotes=quotes,
        source=source,
    )
