"""The table copied into another partitioning: the question before it, and how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.filesize import decimal

from feefifod.cli.console import confirm, interrupt_at_once, make_console
from feefifod.cli.progress_bar import ProgressBar
from feefifod.cli.tables import count_rows
from feefifod.errors import Refused
from feefifod.repartition import Room, copy_table, measure_room
from feefifod.repartition.swap import name_copy
from feefifod.sink import read_server_id
from feefifod.sink.repartition import read_kind
from feefifod.wording import count_of

if TYPE_CHECKING:
    from feefifod.daemon.services import Services

_PATIENCE_SECONDS: Final = 120.0


async def change_partitioning(services: Services, partition_by: str, yes: bool) -> str:
    """Copy the table; return what became of it, in words.

    Raises:
        ConfigError: there is no terminal to ask on, and no `--yes`.
        Refused: the disk has too little room, or see `copy_table`.
        TableBusy: another process copies it.
    """
    client, table, copies = services.client, services.questdb.table, services.ledger.copies
    kind = await read_kind(client, table)
    now = kind.partition_by if kind is not None else "another unit"
    copy = await copies.find(table, await read_server_id(client) or "")
    begun = name_copy(copy) if copy is not None and await read_kind(client, name_copy(copy)) is not None else None
    room = await measure_room(client, table, partition_by, begun=begun)
    _check_room(room, table)
    going_on = " It goes on with what was begun before." if begun else ""
    with interrupt_at_once():
        confirm(
            f"Copy {table} at {client.url} with {count_rows(room.rows)}, by {now} now, into one by {partition_by}?"
            f" {_describe(room)} Nothing is loaded meanwhile.{going_on}",
            yes,
        )
    console = make_console(stderr=True)
    if room.free_bytes is None:
        console.print(f"The disk of {client.url} cannot be seen from here. {_describe(room)}", soft_wrap=True)
    progress = CopyProgress(console)
    with progress.shown():
        report = await copy_table(client, table, copies, partition_by, progress, patience_seconds=_PATIENCE_SECONDS)
    views = f"; filled again: {', '.join(report.views)}" if report.views else ""
    return (
        f"was partitioned by {now}, and is by {partition_by} now: {count_rows(report.rows)} proven equal"
        f" in {progress.seconds:.1f} s, and the ledger is bound to it{views}"
    )


def _check_room(room: Room, table: str) -> None:
    if not room.enough:
        raise Refused(
            f"a copy needs up to {room.needed_bytes:,} bytes ({decimal(room.needed_bytes)}) on QuestDB's disk,"
            f" and {room.free_bytes or 0:,} bytes ({decimal(room.free_bytes or 0)}) are free",
            where=table,
            remedy="Nothing was changed. Free some space on that disk and run the command again",
        )


def _describe(room: Room) -> str:
    free = "" if room.free_bytes is None else f" of {decimal(room.free_bytes)} that are free"
    return f"It needs up to {decimal(room.needed_bytes)}{free} on QuestDB's disk, until the old one is dropped."


class CopyProgress:
    """A listener that shows months, rows, rows a second and the time that is left: live, or now and then."""

    def __init__(self, console: Console) -> None:
        self._bar = ProgressBar(console, "copying")
        self.shown = self._bar.shown
        self._rows, self._done = 1, 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._bar.seconds

    def waits(self, users: Sequence[str]) -> None:
        """Say for whom."""
        self._bar.say(f"waiting until these are done: {', '.join(users)}")

    def planned(self, rows: int) -> None:
        """Take the total."""
        self._rows, self._done = max(rows, 1), 0

    def proven(self, rows: int, month: str) -> None:
        """Move on."""
        self._done += rows
        rate = self._done / self.seconds
        self._bar.show(self._done, self._rows, f"{month}  {count_of(self._done, 'row')}  {rate:,.0f} rows/s")
