"""The table copied into another partitioning, slice by slice, each proven; then put into its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import structlog

from feefifod.catalog import TableCopies, TableCopy
from feefifod.errors import FeefifodError, Refused, Unavailable
from feefifod.failpoint import Step, reach
from feefifod.patience import Trouble, persist
from feefifod.repartition.guard import hold
from feefifod.repartition.report import CopyReport, Listener
from feefifod.repartition.slices import Slice, cut_slices
from feefifod.repartition.swap import StaleCopy, as_swapping, name_copy, number_of, swap_tables
from feefifod.sink import drop_table, read_identity, read_progress, wait_applied
from feefifod.sink.repartition import (
    Fingerprints,
    copy_rows,
    count_keys,
    create_copy,
    flush_server,
    read_fingerprints,
    read_kind,
    read_partitions,
    refresh_views,
    take_over_ttl,
)

if TYPE_CHECKING:
    from feefifod.sink import QuestDBClient

T = TypeVar("T")

_LOOK_SECONDS: Final = 1.0
_PROOFS: Final = 3
"""How often everything is proven again because others than feefifod write into the table."""

_RETURN_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 150.0
"""QuestDB closes what nobody has read for two minutes, and so gives memory maps back; a question would begin anew."""


async def copy_table(
    client: QuestDBClient,
    table: str,
    copies: TableCopies,
    partition_by: str,
    listener: Listener,
    *,
    patience_seconds: float | None,
) -> CopyReport:
    """Copy the table into another partitioning and put the copy into its place, with everything that is bound to it.

    It waits until nobody works on the table, and nobody new begins to. It may be killed at any instant: what a process
    that is gone has begun is gone on with.

    Raises:
        TableBusy: another process copies it.
        LeaseLost: another process has taken over.
        Refused: there is no table, a server says no or is away for too long, or the copy is not equal to the table.
    """
    patience = _Patience(patience_seconds)
    identity = await patience.try_again(partial(read_identity, client, table))
    if identity is None:
        raise Refused("there is no table of feefifod's", where=table, remedy="Run: feefifod setup-questdb-schema")
    found = await copies.find(table, identity.server_id)
    copy = await (copies.begin(table, str(identity), partition_by) if found is None else copies.take_over(found))
    reach(Step.COPY_BEGUN)
    log = structlog.get_logger().bind(table=table, partition_by=partition_by)
    log.info("copy_started", goes_on=found is not None)
    try:
        async with hold(partial(copies.renew, copy)):
            return await _Copying(client, copies, copy, partition_by, listener, patience).run()
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _RETURN_SECONDS):
            try:
                await copies.let_go(copy)
            except FeefifodError as error:
                log.debug("lease_left_to_end", reason=error.why)


@dataclass(frozen=True, slots=True)
class _Patience:
    """Repeats what fails because a server is away, for so long."""

    seconds: float | None

    async def try_again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        result, _ = await persist(partial(self._leave_maps, attempt), Trouble(self.seconds))
        return result

    async def _leave_maps(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Where memory maps run short, ask nothing until QuestDB has closed what it keeps open for us."""
        try:
            return await attempt()
        except Unavailable as error:
            if "memory maps" in error.why:
                structlog.get_logger().warning("waiting", reason=error.why, remedy=error.remedy)
                await anyio.sleep(_IDLE_SECONDS)
                return await attempt()
            raise


@dataclass(slots=True)
class _Copying:
    """A copy at work, held by us."""

    client: QuestDBClient
    copies: TableCopies
    copy: TableCopy
    partition_by: str
    listener: Listener
    patience: _Patience
    report: CopyReport = field(default_factory=CopyReport)

    async def run(self) -> CopyReport:
        """Go on from wherever it is."""
        if self.copy.state != "copying":
            await self._swap()
            return self.report
        await self._wait_for_users()
        for _ in range(_PROOFS):
            await self._ask(partial(wait_applied, self.client, self.copy.table))
            before = await self._count_transactions()
            await self._make_target()
            await self._copy_all()
            await self._ask(partial(take_over_ttl, self.client, self.copy.table, name_copy(self.copy)))
            await self._ask(partial(flush_server, self.client))
            reach(Step.COPY_FLUSHED)
            if await self._count_transactions() != before:
                continue  # Somebody else than feefifod has written into it meanwhile.
            await self._ask(partial(self.copies.begin_swap, self.copy, before))
            self.copy = as_swapping(self.copy, before)
            reach(Step.COPY_SWAPPING)
            try:
                await self._swap()
            except StaleCopy as error:
                structlog.get_logger().warning("copy_is_stale", reason=error.why)
                self.copy = replace(self.copy, state="copying", sequenced=None)
                continue
            return self.report
        raise Refused(
            "another program keeps writing into the table while it is copied",
            where=self.copy.table,
            remedy="Stop that program and run the command again: it goes on where it was",
        )

    async def _ask(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await self.patience.try_again(attempt)

    async def _count_transactions(self) -> int:
        progress = await self._ask(partial(read_progress, self.client, self.copy.table))
        if progress is None or progress.table != number_of(self.copy.from_id):
            raise Refused("the table was dropped or replaced while it was copied", where=self.copy.table)
        return progress.sequenced

    async def _wait_for_users(self) -> None:
        """Wait until everybody has left who began to work on the table before us."""
        told: list[str] = []
        while users := await self._ask(partial(self.copies.list_users, self.copy)):
            if users != told:
                told = users
                self.listener.waits(users)
                structlog.get_logger().info("copy_waits", users=users)
            await anyio.sleep(_LOOK_SECONDS)

    async def _make_target(self) -> None:
        """Make the table that is copied into, or go on with what is there of it."""
        name = name_copy(self.copy)
        kind = await self._ask(partial(read_kind, self.client, name))
        if kind is not None and (kind.partition_by != self.partition_by or kind.suspended):
            await self._ask(partial(drop_table, self.client, name))
            kind = None
        if kind is None:
            await self._ask(partial(create_copy, self.client, name, self.partition_by))
            reach(Step.COPY_MADE)
        identity = await self._ask(partial(read_identity, self.client, name))
        if identity is None:
            raise Refused("the copy was dropped while it was made", where=name)
        await self._ask(partial(self.copies.aim, self.copy, str(identity), self.partition_by))
        self.copy = replace(self.copy, to_id=str(identity), partition_by=self.partition_by)
        reach(Step.COPY_AIMED)

    async def _copy_all(self) -> None:
        """Bring the copy to where it equals the table; what does not because of an older try is made anew, once."""
        target = name_copy(self.copy)
        fresh = not await self._ask(partial(read_partitions, self.client, target))
        try:
            await self._copy_slices(target)
        except _Unequal as error:
            if fresh:
                raise await self._explain(error.piece, target) from None
            structlog.get_logger().warning("copy_begun_anew", table=self.copy.table, month=error.piece.month)
            await self._ask(partial(drop_table, self.client, target))
            await self._make_target()
            try:
                await self._copy_slices(target)
            except _Unequal as again:
                raise await self._explain(again.piece, target) from None

    async def _copy_slices(self, target: str) -> None:
        table = self.copy.table
        partitions = await self._ask(partial(read_partitions, self.client, table))
        total = sum(partition.rows for partition in partitions)
        there = bool(await self._ask(partial(read_partitions, self.client, target)))
        self.report.rows = 0
        self.listener.planned(total)
        piece = Slice(0, 0)
        for piece in cut_slices(partitions):
            wanted = await self._ask(partial(read_fingerprints, self.client, table, piece.start_us, piece.end_us))
            rows = sum(checksum.rows for checksum in wanted.values())
            if rows and not (there and await self._equals(target, piece, wanted)):
                await self._ask(partial(copy_rows, self.client, table, target, piece.start_us, piece.end_us))
                reach(Step.COPY_INSERTED)
                await self._ask(partial(wait_applied, self.client, target))
                if not await self._equals(target, piece, wanted):
                    raise _Unequal(piece)
                self.report.copied += rows
                reach(Step.COPY_PROVED)
            self.report.rows += rows
            self.report.slices += 1
            self.listener.proven(rows, piece.month)
        copied = await self._ask(partial(read_partitions, self.client, target))
        if sum(partition.rows for partition in copied) != self.report.rows:
            raise _Unequal(piece)

    async def _equals(self, target: str, piece: Slice, wanted: Fingerprints) -> bool:
        found = await self._ask(partial(read_fingerprints, self.client, target, piece.start_us, piece.end_us))
        return found == wanted

    async def _explain(self, piece: Slice, target: str) -> Refused:
        """Say why a copy is not equal to the table; the table is untouched."""
        table = self.copy.table
        wanted = await self._ask(partial(read_fingerprints, self.client, table, piece.start_us, piece.end_us))
        keys = await self._ask(partial(count_keys, self.client, table, piece.start_us, piece.end_us))
        await self._ask(partial(drop_table, self.client, target))
        await self._ask(partial(self.copies.finish, self.copy, given_up=True))
        doubled = sum(checksum.rows for checksum in wanted.values()) - keys
        if doubled > 0:
            return Refused(
                f"{doubled:,} rows of {piece.month} have the key of another row, from before it had DEDUP:"
                " which of them counts cannot be known",
                where=table,
                remedy="Nothing was changed. Make it anew and load the archive again: see docs/operations.md",
            )
        return Refused(
            f"the copy of {piece.month} is not equal to the table",
            where=table,
            remedy="Nothing was changed. If another program writes into the table, stop it, and run the command again",
        )

    async def _swap(self) -> None:
        await self._ask(partial(swap_tables, self.client, self.copies, self.copy))
        self.report.views = await self._ask(partial(refresh_views, self.client, self.copy.table))


class _Unequal(Exception):
    """A slice of the copy holds other rows than the table."""

    def __init__(self, piece: Slice) -> None:
        super().__init__(piece.month)
        self.piece = piece
