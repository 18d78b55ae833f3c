"""Repair: the files of what differs are loaded again, straight from the archive; the ledger only gets a remark."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from anyio import to_thread

from feefifod.model import Frame
from feefifod.sink import send_in_steps, wait_applied
from feefifod.sink.checksums import group_months
from feefifod.verify.groups import end_month
from feefifod.verify.sweeping import Span, sweep_archive

if TYPE_CHECKING:
    from collections.abc import Collection

    from feefifod.sink.checksums import SeriesMonth
    from feefifod.verify.check import Check
    from feefifod.verify.kit import Kit

_SHARED: Final = ("quotes", "source")


async def send_again(kit: Kit, check: Check, months: Collection[SeriesMonth]) -> None:
    """Send the rows of some months of series that `check` has found complete in the archive, and wait for them.

    A row that is in the table with other values is overwritten: DEDUP keeps the last one.

    Raises:
        Refused: a server says no, or is away for too long.
    """
    wanted = set(months)

    async def take(frame: Frame) -> None:
        chosen = await to_thread.run_sync(_choose, frame, wanted, limiter=kit.reading)
        if len(chosen):
            await send_in_steps(kit.lane, chosen, kit.client, kit.questdb.table, kit.patiently)

    starts = [month for _, _, _, month in months]
    span = Span(min(starts) // 1_000_000, end_month(max(starts)) // 1_000_000)
    await sweep_archive(kit, check.select_entries({key[:3] for key in months}), span, take)
    await kit.patiently(partial(wait_applied, kit.client, kit.questdb.table))


def _choose(frame: Frame, wanted: Collection[SeriesMonth]) -> Frame:
    """Return the rows of these months."""
    keep = np.zeros(len(frame), dtype=bool)
    for key, rows in group_months(frame).rows().items():
        if key in wanted:
            keep[rows] = True
    columns = {column.name: getattr(frame, column.name) for column in fields(Frame)}
    return Frame(**{name: column if name in _SHARED else column[keep] for name, column in columns.items()})
