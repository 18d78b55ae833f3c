"""From acknowledged to visible: wait until QuestDB's WAL writer has caught up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

from feefifod.errors import Refused, Unavailable
from feefifod.pulse import beat
from feefifod.sink.sql import load_statements, render

if TYPE_CHECKING:
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("schema.sql")


class Suspended(Unavailable):
    """QuestDB acknowledges rows of this table, but has stopped to make them visible until somebody resumes it."""


class WalState(NamedTuple):
    """How far the table's writer is behind what was acknowledged, in transactions."""

    suspended: bool
    written: int
    sequenced: int
    error_tag: str
    error_message: str


async def read_wal(client: QuestDBClient, table: str) -> WalState | None:
    """Read the state of a table's write-ahead log; None when there is no such WAL table."""
    answer = await client.query(render(_SQL["read_wal"], name=table))
    return WalState(*answer.rows[0]) if answer.rows else None


class Progress(NamedTuple):
    """How far a table is, and since when its server runs.

    Attributes:
        table: the table's own number; another one is another table of the same name.
        sequenced: transactions of its write-ahead log; falls only where an older copy takes the table's place.
        started_us: when the server was started, microseconds since 1970 UTC.
    """

    table: int
    sequenced: int
    started_us: int


async def read_progress(client: QuestDBClient, table: str) -> Progress | None:
    """Read how far a table is; None when there is no such WAL table."""
    answer = await client.query(render(_SQL["read_progress"], name=table))
    return Progress(*answer.rows[0]) if answer.rows else None


async def wait_applied(
    client: QuestDBClient,
    table: str,
    *,
    poll: float = 0.05,
    deadline: float = 600.0,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Wait until all that was acknowledged before this call is visible.

    Args:
        client: the server.
        table: the table.
        poll: seconds between two looks; it doubles up to twentyfold while nothing is ready.
        deadline: seconds after which we stop to wait.
        on_progress: told the number of transactions that are still to be written.

    Raises:
        Suspended: the table is suspended; nothing will become visible before it is resumed.
        Unavailable: the server is away, or not done by the deadline.
        Refused: the table is gone.
    """
    target: int | None = None
    pause = poll
    left = 0
    with anyio.move_on_after(deadline):
        while True:
            state = await read_wal(client, table)
            beat()
            if state is None:
                raise Refused("the table is gone", where=table, remedy="Run: feefifod setup-questdb-schema")
            if state.suspended:
                raise Suspended(
                    f"QuestDB has suspended the table: {state.error_tag} {state.error_message}".rstrip(": "),
                    where=table,
                    remedy=f"Cure the cause, then run: ALTER TABLE {table} RESUME WAL",
                )
            target = state.sequenced if target is None else target
            left = target - state.written
            if on_progress is not None:
                on_progress(max(left, 0))
            if left <= 0:
                return
            await anyio.sleep(pause)
            pause = min(pause * 1.5, poll * 20)
    raise Unavailable(
        f"{left} acknowledged transactions are not visible after {deadline:g} s",
        where=table,
        remedy="QuestDB is slow or stuck: see its log and its disk",
    )
