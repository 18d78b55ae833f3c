"""The copy in the table's place: names changed, the ledger bound to it, the old table dropped.

Each step is found done or not done by the numbers of the tables, which renaming does not change; so this may be
killed anywhere, and begins anew, by whichever process comes next, until it is finished. Nothing is removed before the
ledger is bound and the server has everything on its disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from feefifod.errors import Refused
from feefifod.failpoint import Step, reach
from feefifod.sink import drop_table, read_progress
from feefifod.sink.repartition import flush_server, read_names, rename_table

if TYPE_CHECKING:
    from feefifod.catalog import TableCopies, TableCopy
    from feefifod.sink import QuestDBClient


class StaleCopy(Refused):
    """The table has got rows since its copy was proven, or the copy is gone: the table is in its place, as it was."""


def name_copy(copy: TableCopy) -> str:
    """Name the table that is copied into; the number makes it one that nobody else has."""
    return f"feefifod_copy_{number_of(copy.from_id)}"


def name_aside(copy: TableCopy) -> str:
    """Name the old table once the copy has its name."""
    return f"feefifod_old_{number_of(copy.from_id)}"


def number_of(identity: str) -> int:
    """Return the table's own number on its server."""
    return int(identity.rpartition(":")[2])


async def swap_tables(client: QuestDBClient, copies: TableCopies, copy: TableCopy) -> None:
    """Bring a proven copy, recorded as `swapping` or `bound` and held by us, into the table's place.

    Raises:
        StaleCopy: that cannot be done any more; the table is there as it was, and nothing is lost.
        LeaseLost: another process has it.
        Refused: another table has taken the name meanwhile.
    """
    if copy.to_id is None:
        raise ValueError("a copy that was never made cannot be swapped")
    if copy.state == "swapping":
        await _rename(client, copies, copy, number_of(copy.from_id), number_of(copy.to_id))
        reach(Step.COPY_RENAMED)
        await copies.bind(copy)
        reach(Step.COPY_BOUND)
    await flush_server(client)
    await copies.renew(copy)
    await drop_table(client, name_aside(copy))
    reach(Step.COPY_DROPPED)
    await copies.finish(copy)
    reach(Step.COPY_FINISHED)
    structlog.get_logger().info("copy_in_place", table=copy.table, partition_by=copy.partition_by)


async def _rename(client: QuestDBClient, copies: TableCopies, copy: TableCopy, old: int, new: int) -> None:
    """Change the names, from wherever they are."""
    aside = name_aside(copy)
    names = await read_names(client, (old, new))
    if new not in names:
        await _turn_back(client, copies, copy, names.get(old), "its copy is gone")
    if names.get(old) == copy.table:
        # The transactions of the table are all that were there when the copy was proven: no row is missing in it.
        if await _count_transactions(client, copy.table) != copy.sequenced:
            await _turn_back(client, copies, copy, copy.table, "rows have come into it that its copy lacks")
        await copies.renew(copy)
        await rename_table(client, copy.table, aside)
        reach(Step.COPY_SET_ASIDE)
        names[old] = aside
    if names[new] == copy.table:
        return
    # The renaming is a transaction of its own.
    if names.get(old) == aside and await _count_transactions(client, aside) != (copy.sequenced or 0) + 1:
        await _turn_back(client, copies, copy, aside, "rows have come into it that its copy lacks")
    await copies.renew(copy)
    try:
        await rename_table(client, names[new], copy.table)
    except Refused as error:
        raise Refused(
            f"the copy cannot get the table's name: {error.why}",
            where=copy.table,
            remedy=f"If another program has made a table {copy.table} meanwhile, rename or drop it, and run this again:"
            f" all rows are in {aside}, and in {names[new]}",
        ) from error


async def _turn_back(
    client: QuestDBClient, copies: TableCopies, copy: TableCopy, name: str | None, reason: str
) -> None:
    """Give the old table its name back.

    Raises:
        StaleCopy: always.
    """
    if name is not None and name != copy.table:
        await copies.renew(copy)
        await rename_table(client, name, copy.table)
    if name is None:
        await copies.finish(copy, given_up=True)
        raise StaleCopy("the table and its copy were dropped", where=copy.table, remedy="Make it again")
    await copies.undo_swap(copy)
    raise StaleCopy(reason, where=copy.table, remedy="Run the command again: it copies what is missing")


async def _count_transactions(client: QuestDBClient, table: str) -> int | None:
    progress = await read_progress(client, table)
    return None if progress is None else progress.sequenced


def as_swapping(copy: TableCopy, sequenced: int) -> TableCopy:
    """Return a copy as it is after `begin_swap`."""
    return replace(copy, state="swapping", sequenced=sequenced)
