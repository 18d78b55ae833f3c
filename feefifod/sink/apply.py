"""From acknowledged to visible: wait until QuestDB's WAL writer has caught up."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.pulse import beat
from feefifod.sink.sql import MORE_MAPS, Identifier, load_statements, render

if TYPE_CHECKING:
    from feefifod.sink.sql import QuestDBClient

_SQL: Final = load_statements("schema.sql")

_SHORTAGE: Final = re.compile(
    r"OUT OF MMAP AREAS|OUT OF MEMORY|TOO MANY OPEN FILES|could not m(?:re)?map|\berrno=(?:12|24)\b"
)
"""What suspends a table, and is over when others let go of it: memory maps, memory, open files."""

_VAGUE: Final = "bulk update failed"
"""All that QuestDB says where not the table's writer itself but a worker of it met a shortage, or anything else."""

_VAGUE_SECONDS: Final = 5.0


class Suspended(Unavailable):
    """QuestDB acknowledges rows of this table, but has stopped to make them visible until somebody resumes it."""


def is_short(error_tag: str | None, error_message: str | None) -> bool:
    """Tell whether a table was certainly suspended for want of something that readers give back."""
    return _SHORTAGE.search(f"{error_tag} {error_message}") is not None


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
        suspended, error_tag, error_message: whether QuestDB has stopped to make rows visible, and why.
    """

    table: int
    sequenced: int
    started_us: int
    suspended: bool = False
    error_tag: str = ""
    error_message: str = ""


async def read_progress(client: QuestDBClient, table: str) -> Progress | None:
    """Read how far a table is; None when there is no such WAL table."""
    answer = await client.query(render(_SQL["read_progress"], name=table))
    return Progress(*answer.rows[0]) if answer.rows else None


async def resume_if_short(client: QuestDBClient, table: str, error_tag: str | None, error_message: str | None) -> bool:
    """Let QuestDB try again to make the rows of a suspended table visible, where the cause may be over by itself.

    QuestDB never does that. It begins with the very transaction that failed, and leaves none out; of a table that is
    not suspended, nothing changes. So it is safe at any time, and from several processes at once. Where the cause is
    not told, some time has to pass first.
    """
    if not is_short(error_tag, error_message):
        since = client.suspended_since.setdefault(table, time.monotonic())
        if _VAGUE not in (error_message or "") or time.monotonic() - since < _VAGUE_SECONDS:
            return False
    client.suspended_since.pop(table, None)
    await client.query(render(_SQL["resume"], table=Identifier(table)))
    return True


async def wait_applied(
    client: QuestDBClient,
    table: str,
    *,
    poll: float = 0.05,
    deadline: float = 600.0,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Wait until all that was acknowledged before this call is visible.

    A table that was suspended for want of memory maps, memory or files is resumed, and `Suspended` raised all the same:
    callers who try again, with growing pauses, see it go on when readers have left.

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
                raise await _meet_suspended(client, table, state)
            client.suspended_since.pop(table, None)
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


async def _meet_suspended(client: QuestDBClient, table: str, state: WalState) -> Suspended:
    """Return the error of a suspended table, which is resumed where its cause may be over."""
    why = f"QuestDB has suspended the table: {state.error_tag} {state.error_message}".rstrip(": ")
    command = f"ALTER TABLE {table} RESUME WAL"
    try:
        resumed = await resume_if_short(client, table, state.error_tag, state.error_message)
    except FeefifodError as error:
        return Suspended(f"{why}; and it cannot be resumed: {error.why}", where=table, remedy=MORE_MAPS)
    if resumed:
        return Suspended(f"{why}; it is resumed", where=table, remedy=MORE_MAPS)
    return Suspended(why, where=table, remedy=f"Cure the cause, then run: {command}")
