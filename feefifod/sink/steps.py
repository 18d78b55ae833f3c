"""Sending a frame in steps that touch few partitions each, because each one costs QuestDB and its readers maps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise
from typing import Final

from feefifod.model import Frame
from feefifod.partitioning import MOST_PARTITIONS, PACED_PARTITIONS
from feefifod.sink.apply import wait_applied
from feefifod.sink.lane import Lane, Receipt
from feefifod.sink.sql import QuestDBClient

Patiently = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Repeats a call while its server is away."""

_SHARED: Final = ("quotes", "source")


async def send_in_steps(lane: Lane, frame: Frame, client: QuestDBClient, table: str, patiently: Patiently) -> Receipt:
    """Send a frame, sorted by time; steps that touch many partitions are visible before the next one is sent.

    QuestDB merges what it has acknowledged at once, however many requests it was: without the wait, all steps
    would be one again, and whoever reads the table meanwhile would hold all its partitions twice.

    Raises:
        Refused: a server says no, or is away for too long.
    """
    starts = client.partitioning(table).find_starts(frame.time_us)
    edges = [*starts[::MOST_PARTITIONS].tolist(), len(frame)]
    receipts = []
    for first, end in pairwise(edges if len(edges) > 1 else [0, len(frame)]):
        receipts.append(await lane.send(frame if end - first == len(frame) else _slice(frame, first, end)))
        if len(starts) >= PACED_PARTITIONS:
            await patiently(partial(wait_applied, client, table, poll=0.02))
    return Receipt(len(frame), lane.name, sum(one.seconds for one in receipts), max(one.attempts for one in receipts))


def _slice(frame: Frame, first: int, end: int) -> Frame:
    columns = {
        column.name: getattr(frame, column.name)[first:end] for column in fields(Frame) if column.name not in _SHARED
    }
    return replace(frame, **columns)
