"""Working on the table: everybody takes a lease on it, so that it is not copied and renamed below them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.catalog import LeaseLost, TableBusy, TableCopies
from feefifod.catalog.lease import LEASE_SECONDS, RENEW_SECONDS
from feefifod.errors import FeefifodError, Unavailable
from feefifod.repartition.swap import StaleCopy, name_copy, swap_tables
from feefifod.sink import TableIdentity, drop_table, ensure_table, read_identity, read_server_id

if TYPE_CHECKING:
    from feefifod.config import QuestDBSettings
    from feefifod.sink import QuestDBClient

_RETURN_SECONDS: Final = 5.0

_Entry = tuple[TableIdentity | None, int]
"""Which table it is, and the fence of the lease on it."""


@asynccontextmanager
async def use_table(
    client: QuestDBClient,
    table: str,
    copies: TableCopies,
    purpose: str,
    patiently: Callable[[Callable[[], Awaitable[_Entry]]], Awaitable[_Entry]],
) -> AsyncIterator[TableIdentity | None]:
    """Hold the table as it is, and give its identity; None, and nothing is held, when there is none of feefifod's.

    Args:
        purpose: what for, in a word or two, for those who have to wait.
        patiently: repeats an attempt while a server is away, or the table is being copied.

    Raises:
        LeaseLost: PostgreSQL was away for too long.
    """
    identity, fence = await patiently(partial(_enter, client, table, copies, purpose))
    if identity is None:
        yield None
        return
    try:
        async with hold(partial(copies.access.renew, fence)):
            yield identity
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _RETURN_SECONDS):
            try:
                await copies.access.leave(fence)
            except FeefifodError as error:
                structlog.get_logger().debug("lease_left_to_end", reason=error.why)


async def _enter(client: QuestDBClient, table: str, copies: TableCopies, purpose: str) -> _Entry:
    identity = await read_identity(client, table)
    if identity is None:
        await settle_swap(client, table, copies)
        identity = await read_identity(client, table)
        if identity is None:
            return None, 0
    try:
        fence = await copies.access.use(str(identity), purpose)
    except TableBusy:
        await settle_swap(client, table, copies)
        raise
    if await read_identity(client, table) != identity:
        await copies.access.leave(fence)
        raise TableBusy("the table was replaced a moment ago", where=table)
    return identity, fence


async def provide_table(client: QuestDBClient, settings: QuestDBSettings, copies: TableCopies) -> TableIdentity:
    """Make sure that the table is there and right, as `ensure_table`, but never between two renames.

    Raises:
        TableBusy: its names are being changed.
        Refused: it has other columns.
    """
    identity = await ensure_table(client, settings, before_making=partial(settle_swap, client, settings.table, copies))
    await settle_swap(client, settings.table, copies)
    return identity


async def settle_swap(client: QuestDBClient, table: str, copies: TableCopies) -> None:
    """Finish the renaming that a process which is gone has begun; what is in order costs one look at PostgreSQL.

    Raises:
        TableBusy: the process that renames lives.
    """
    if not await copies.is_any(table):
        return
    server_id = await read_server_id(client)
    copy = await copies.find(table, server_id) if server_id is not None else None
    if copy is None or copy.state == "copying" or (copy.held and copy.state == "bound"):
        return
    copy = await copies.take_over(copy)
    structlog.get_logger().warning("copy_taken_over", table=table, partition_by=copy.partition_by, state=copy.state)
    try:
        async with hold(partial(copies.renew, copy)):
            await swap_tables(client, copies, copy)
    except StaleCopy as error:
        structlog.get_logger().warning("copy_not_finished", table=table, reason=error.why, remedy=error.remedy)
    finally:
        await copies.let_go(copy)


async def forget_copy(client: QuestDBClient, table: str, copies: TableCopies, identity: TableIdentity) -> None:
    """Drop what a copy of a table that is gone has begun.

    Raises:
        TableBusy: the process that copies lives.
    """
    copy = await copies.find(table, identity.server_id)
    if copy is not None and copy.from_id == str(identity) and copy.state == "copying":
        copy = await copies.take_over(copy)
        await drop_table(client, name_copy(copy))
        await copies.finish(copy, given_up=True)
        structlog.get_logger().info("copy_given_up", table=table)


@asynccontextmanager
async def hold(renew: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Renew a lease as long as this lasts; work that nobody can be sure to be alone with any more is cut.

    Raises:
        LeaseLost: it has ended, or PostgreSQL was away for as long as it holds.
    """
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_renew, renew, name="lease")
            yield
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _renew(renew: Callable[[], Awaitable[None]]) -> None:
    held_until = anyio.current_time() + LEASE_SECONDS
    while True:
        await anyio.sleep(RENEW_SECONDS / 2)
        asked = anyio.current_time()
        try:
            await renew()
            held_until = asked + LEASE_SECONDS
        except Unavailable as error:
            if anyio.current_time() > held_until:
                raise LeaseLost("the lease could not be renewed in time", where="PostgreSQL") from error
