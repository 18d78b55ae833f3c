"""How things stand: files, rows, servers, daemon and schedules, gathered without starting anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread

from feefifod.backfill.schedules import list_results
from feefifod.catalog import Ledger, Marks, NotSetUp, OtherSchema
from feefifod.config import pick_database
from feefifod.daemon.data_folder import look_at_data
from feefifod.discover import Folder
from feefifod.errors import FeefifodError
from feefifod.log import redact
from feefifod.model import FileState
from feefifod.servers import explain_absence, find_start, read_daemon
from feefifod.sink import QuestDBClient, describe_table, read_identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from feefifod.backfill.schedules import ScheduleStatus
    from feefifod.catalog import Database, Mark, ZipRecord
    from feefifod.config import QuestDBSettings, ScheduleSettings, Settings

DATABASE: Final = "questdb"
EMBEDDED: Final = "embedded"
NOT_RUNNING: Final = "embedded, and not running"
NO_TABLE: Final = "there is no such table yet; the first ingest makes it, or: feefifod setup-questdb-schema"
_MOST_EXAMPLES: Final = 3
_MOST_NAMED: Final = 20
_NO_TABLE_ID: Final = ""
"""An identity that no table has: nothing was loaded into a table that does not exist."""

Document = dict[str, Any]


async def gather(
    settings: Settings,
    server: QuestDBSettings | None,
    postgres: AbstractAsyncContextManager[Database] | None,
    *,
    folder: Folder | None = None,
    look_seconds: float = 10.0,
) -> Document:
    """Gather what `status --json` prints; what is not known is None.

    Args:
        settings: the configuration.
        server: where QuestDB is and what lets us in, None when it is embedded and does not run.
        postgres: opens PostgreSQL, None likewise.
        folder: what this process knows of the data folder, if it watches it; else it is listed.
        look_seconds: how long each server may take to answer.

    Raises:
        Refused: the state folder is closed to us.
    """
    questdb, table_id = await _look_at_questdb(settings, server, look_seconds)
    ledger = await _look_at_ledger(settings, postgres, table_id, look_seconds)
    states = ledger.states
    data = await to_thread.run_sync(look_at_data, settings, folder, abandon_on_cancel=True)
    files: dict[str, int | None] = {str(state): None if states is None else states.get(state, 0) for state in FileState}
    # Files that are being loaded or moved lie in the data folder too, but for members of zips.
    in_work = (files[FileState.LOADING] or 0) + (files[FileState.MOVING] or 0) - ledger.busy_copies
    files[FileState.WAITING] = None if data.wanted is None else max(data.wanted - in_work, 0)
    daemon = read_daemon(settings.paths.state)
    return {
        "files": files,
        "rows": ledger.rows,
        "zips": ledger.zips,
        "data": {
            "folder": str(settings.paths.data),
            "error": data.error,
            "unreadable": data.unreadable,
            "downloads": data.downloads,
        },
        "ignored": data.ignored,
        "unmoved": ledger.unmoved,
        "questdb": questdb,
        "postgres": ledger.document,
        "daemon": {
            "running": daemon is not None,
            "pid": daemon.pid if daemon else None,
            "since": daemon.since.isoformat(timespec="seconds") if daemon else None,
        },
        "schedules": ledger.schedules,
        "repair": ledger.repair,
    }


async def _look_at_questdb(
    settings: Settings, server: QuestDBSettings | None, look_seconds: float
) -> tuple[Document, str | None]:
    """Look at the table; return that and the table's identity, None when it is not known."""
    table = pick_database(settings, DATABASE).table
    document: Document = dict.fromkeys(("url", "table", "rows", "pending_rows", "suspended", "error"))
    document |= {"url": server and server.url, "table": table}
    if server is None:
        return document | {"error": _explain_absence(settings)}, None
    try:
        client = QuestDBClient(server, server.url)
        with anyio.fail_after(look_seconds):
            identity = await read_identity(client, table)
            facts = await describe_table(client, table)
    except (FeefifodError, TimeoutError) as error:
        starting = find_start(settings.paths.state) if pick_database(settings, DATABASE).url == EMBEDDED else None
        return document | {"error": str(starting) if starting else _say(error, look_seconds)}, None
    if facts is None:
        return document | {"error": NO_TABLE}, _NO_TABLE_ID
    document |= {"rows": facts.rows, "pending_rows": facts.pending_rows, "suspended": facts.suspended}
    if facts.suspended:
        document["error"] = f"the table is suspended: {facts.error}".rstrip(": ")
    return document, str(identity) if identity else _NO_TABLE_ID


@dataclass(slots=True)
class _LedgerLook:
    """What PostgreSQL knows; `busy_copies` are members of zips in work, which lie in scratch space."""

    schedules: list[Document]
    document: Document = field(default_factory=lambda: {"reachable": False, "error": NOT_RUNNING})
    states: dict[FileState, int] | None = None
    rows: dict[str, int | None] = field(default_factory=lambda: {"accepted": None, "rejected": None})
    zips: list[Document] = field(default_factory=list)
    busy_copies: int = 0
    repair: Document | None = None
    unmoved: Document | None = None


async def _look_at_ledger(
    settings: Settings,
    postgres: AbstractAsyncContextManager[Database] | None,
    table_id: str | None,
    look_seconds: float,
) -> _LedgerLook:
    """Look at what PostgreSQL knows: whether it answers, files by state, rows, zips and schedules."""
    look = _LedgerLook([_describe_schedule(schedule) for schedule in settings.schedules])
    if postgres is None:
        look.document["error"] = _explain_absence(settings)
        return look
    try:
        with anyio.fail_after(look_seconds):
            async with postgres as database:
                ledger = Ledger(database)
                table_id = await ledger.bound_table(DATABASE) if table_id is None else table_id
                look.states, look.rows["accepted"], look.rows["rejected"] = await ledger.count_states(table_id)
                look.busy_copies = await ledger.zips.count_busy_copies()
                look.zips = [_describe_zip(record) for record in await ledger.zips.list_unfinished(table_id)]
                look.unmoved = _describe_unmoved(await ledger.list_unmoved())
                listed = await list_results(database, settings.schedules, datetime.now(UTC))
                look.schedules = [_describe_result(status) for status in listed]
                look.repair = _describe_repair(await Marks(database).read(table_id)) if table_id else None
                look.document = {"reachable": True, "error": None}
    except OtherSchema as error:
        look.document = {"reachable": True, "error": str(error)}
        if isinstance(error, NotSetUp):
            look.states, look.rows = {}, {"accepted": 0, "rejected": 0}
    except (FeefifodError, TimeoutError) as error:
        starting = find_start(settings.paths.state) if settings.postgres.url.get_secret_value() == EMBEDDED else None
        look.document = {"reachable": False, "error": str(starting) if starting else _say(error, look_seconds)}
        look.states = None
    return look


def _describe_zip(record: ZipRecord) -> Document:
    return {
        "name": record.name,
        "state": str(record.state),
        "done": record.done,
        "members": record.members,
        "states": {str(state): count for state, count in record.states.items()},
        "reason": record.reason,
    }


def _describe_unmoved(files: Sequence[tuple[str, int]]) -> Document:
    """Tell of files whose end is decided, and that could not be moved so far."""
    names = [name for name, _ in files[:_MOST_EXAMPLES]]
    return {"files": len(files), "rows": sum(rows for _, rows in files), "examples": names}


def _describe_repair(mark: Mark | None) -> Document | None:
    """Return the outcome of the last check that a daemon made by itself."""
    if mark is None or mark.checked_at is None or mark.outcome is None:
        return None
    return {"checked_at": mark.checked_at.isoformat(timespec="seconds"), **mark.outcome}


def _explain_absence(settings: Settings) -> str:
    """Say why an embedded server is not there."""
    return explain_absence(settings.paths.state) or NOT_RUNNING


def _say(error: FeefifodError | TimeoutError, look_seconds: float) -> str:
    return redact(str(error)) if isinstance(error, FeefifodError) else f"no answer within {look_seconds:g} s"


def _describe_schedule(schedule: ScheduleSettings) -> Document:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "source": schedule.source,
        "running": None,
        "next_at": None,
        "last": None,
    }


def _describe_result(status: ScheduleStatus) -> Document:
    last = status.last
    return _describe_schedule(status.schedule) | {
        "running": status.running,
        "next_at": status.next_at.isoformat(timespec="seconds"),
        "last": last
        and {
            "started_at": last.started_at.isoformat(timespec="seconds"),
            "finished_at": last.finished_at and last.finished_at.isoformat(timespec="seconds"),
            "outcome": last.outcome and str(last.outcome),
            "reason": last.reason,
            **asdict(last.counts),
        },
    }
