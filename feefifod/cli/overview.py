"""How things stand: files, rows, servers, daemon and schedules, gathered without starting anything."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import anyio
from rich.text import Text

from feefifod.backfill.schedules import list_results
from feefifod.catalog import Ledger, open_database
from feefifod.cli.console import make_console
from feefifod.cli.reach import find_postgres, find_questdb
from feefifod.cli.tables import make_facts
from feefifod.config import pick_database
from feefifod.discover import scan
from feefifod.errors import FeefifodError, Refused
from feefifod.ingest.candidates import why_unwanted
from feefifod.log import redact
from feefifod.model import FileState
from feefifod.servers import read_daemon
from feefifod.sink import QuestDBClient, describe_table, read_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from feefifod.backfill.schedules import ScheduleStatus
    from feefifod.config import ScheduleSettings, Settings

DATABASE: Final = "questdb"
NOT_RUNNING: Final = "embedded, and not running"
NO_TABLE: Final = "there is no such table yet; the first ingest makes it, or: feefifod setup-questdb-schema"
_LOOK_SECONDS: Final = 10.0
_NO_TABLE_ID: Final = ""
"""An identity that no table has: nothing was loaded into a table that does not exist."""

Document = dict[str, Any]


async def gather(settings: Settings) -> Document:
    """Gather what `status --json` prints; what is not known is None.

    Raises:
        Refused: the state folder is closed to us.
    """
    questdb, table_id = await _look_at_questdb(settings)
    postgres, states, rows, schedules = await _look_at_ledger(settings, table_id)
    wanted, trouble = await anyio.to_thread.run_sync(_count_wanted, settings)
    files: dict[str, int | None] = {str(state): None if states is None else states.get(state, 0) for state in FileState}
    # Files that are being loaded or moved lie in the data folder too.
    in_work = (files[FileState.LOADING] or 0) + (files[FileState.MOVING] or 0)
    files[FileState.WAITING] = None if wanted is None else max(wanted - in_work, 0)
    daemon = read_daemon(settings.paths.state)
    return {
        "files": files,
        "rows": rows,
        "data": {"folder": str(settings.paths.data), "error": trouble},
        "questdb": questdb,
        "postgres": postgres,
        "daemon": {
            "running": daemon is not None,
            "pid": daemon.pid if daemon else None,
            "since": daemon.since.isoformat(timespec="seconds") if daemon else None,
        },
        "schedules": schedules,
    }


async def _look_at_questdb(settings: Settings) -> tuple[Document, str | None]:
    """Look at the table; return that and the table's identity, None when it is not known."""
    table = pick_database(settings, DATABASE).table
    document: Document = dict.fromkeys(("url", "table", "rows", "pending_rows", "suspended", "error"))
    document |= {"url": find_questdb(settings, DATABASE), "table": table}
    if document["url"] is None:
        return document | {"error": NOT_RUNNING}, None
    try:
        client = QuestDBClient(pick_database(settings, DATABASE), document["url"])
        with anyio.fail_after(_LOOK_SECONDS):
            identity = await read_identity(client, table)
            facts = await describe_table(client, table)
    except (FeefifodError, TimeoutError) as error:
        return document | {"error": _say(error)}, None
    if facts is None:
        return document | {"error": NO_TABLE}, _NO_TABLE_ID
    document |= {"rows": facts.rows, "pending_rows": facts.pending_rows, "suspended": facts.suspended}
    if facts.suspended:
        document["error"] = f"the table is suspended: {facts.error}".rstrip(": ")
    return document, str(identity) if identity else _NO_TABLE_ID


async def _look_at_ledger(
    settings: Settings, table_id: str | None
) -> tuple[Document, dict[FileState, int] | None, dict[str, int | None], list[Document]]:
    """Look at what PostgreSQL knows: whether it answers, files by state, rows, and schedules."""
    rows: dict[str, int | None] = {"accepted": None, "rejected": None}
    unknown = [_describe_schedule(schedule) for schedule in settings.schedules]
    dsn = find_postgres(settings)
    if dsn is None:
        return {"reachable": False, "error": NOT_RUNNING}, None, rows, unknown
    try:
        with anyio.fail_after(_LOOK_SECONDS):
            async with open_database(dsn) as database:
                ledger = Ledger(database)
                table_id = await ledger.bound_table(DATABASE) if table_id is None else table_id
                states, rows["accepted"], rows["rejected"] = await ledger.count_states(table_id)
                listed = await list_results(database, settings.schedules, datetime.now(UTC))
    except (FeefifodError, TimeoutError) as error:
        return {"reachable": False, "error": _say(error)}, None, rows, unknown
    return {"reachable": True, "error": None}, states, rows, [_describe_result(status) for status in listed]


def _say(error: FeefifodError | TimeoutError) -> str:
    return redact(str(error)) if isinstance(error, FeefifodError) else f"no answer within {_LOOK_SECONDS:g} s"


def _count_wanted(settings: Settings) -> tuple[int | None, str | None]:
    """Count the files in the data folder that are to be ingested, complete or not; None and why when it is away."""
    try:
        found = scan(str(settings.paths.data))
    except Refused as error:
        return None, str(error)
    return sum(
        item.stamp is not None and not why_unwanted(item, settings.watch, settings.tiers) for item in found
    ), None


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


def show(document: Document, settings: Settings) -> None:
    """Print it for people, and what to do next where something is wrong."""
    daemon, questdb, postgres = document["daemon"], document["questdb"], document["postgres"]
    running = f"running, pid {daemon['pid']}, since {daemon['since']}" if daemon["running"] else "not running"
    facts: list[tuple[str, object]] = [
        ("daemon", _colour(running, good=daemon["running"])),
        ("QuestDB", _describe_questdb(questdb)),
        ("PostgreSQL", _colour(postgres["error"] or "reachable", good=postgres["reachable"])),
        ("files", _join(document["files"])),
        ("rows", _join(document["rows"])),
    ]
    facts += [("schedule", _tell_schedule(item)) for item in document["schedules"]]
    console = make_console()
    console.print(make_facts(facts))
    for step in _next_steps(document, settings):
        console.print(f"→ {step}", style="yellow", soft_wrap=True)


def _describe_questdb(questdb: Mapping[str, Any]) -> Text:
    if questdb["rows"] is None:
        where = f"{questdb['url']}, " if questdb["url"] and questdb["url"] not in questdb["error"] else ""
        return _colour(f"{where}{questdb['table']}: {questdb['error']}", good=False)
    pending = f", {questdb['pending_rows']:,} pending" if questdb["pending_rows"] else ""
    suspended = ", SUSPENDED" if questdb["suspended"] else ""
    return _colour(
        f"{questdb['url']}, {questdb['table']}: {questdb['rows']:,} rows{pending}{suspended}",
        good=not questdb["suspended"],
    )


def _tell_schedule(item: Mapping[str, Any]) -> str:
    text = f"{item['name']}: {item['source']}, {item['cron']} ({item['timezone']})"
    if last := item["last"]:
        text += f", last {last['started_at']}: {last['outcome'] or 'running'}"
    return text + (f", next {item['next_at']}" if item["next_at"] else "")


def _colour(text: str, *, good: bool) -> Text:
    return Text(text, style="green" if good else "yellow")


def _join(counts: Mapping[str, int | None]) -> str:
    return "  ".join(f"{name} {'?' if count is None else f'{count:,}'}" for name, count in counts.items())


def _next_steps(document: Document, settings: Settings) -> Iterator[str]:
    questdb, files, daemon = document["questdb"], document["files"], document["daemon"]
    if document["data"]["error"]:
        yield document["data"]["error"]
    if questdb["suspended"]:
        yield f'{questdb["error"]}. Cure the cause, then: feefifod query "ALTER TABLE {questdb["table"]} RESUME WAL"'
    if not daemon["running"]:
        if NOT_RUNNING in (questdb["error"], document["postgres"]["error"]):
            yield "No server is running: counts that only they know are missing. Start the daemon: feefifod run"
        if files[FileState.WAITING]:
            yield "Files are waiting, and no daemon runs: feefifod run, or once: feefifod run-once"
    if files[FileState.REJECTED]:
        yield f"Files were rejected; the reason lies beside each one: {settings.paths.rejected}/NAME.reason.json"
