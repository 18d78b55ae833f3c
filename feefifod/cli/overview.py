"""How things stand, shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from feefifod.catalog import look_at_database
from feefifod.cli.console import make_console
from feefifod.cli.reach import find_postgres, find_questdb
from feefifod.cli.tables import make_facts
from feefifod.daemon import overview
from feefifod.daemon.overview import DATABASE, NOT_RUNNING, Document
from feefifod.ingest.closed import REMEDY
from feefifod.ingest.ignored import Ignored
from feefifod.log import escape_controls
from feefifod.model import FileState
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from feefifod.config import Settings


_MOST_REASONS: Final = 20


async def gather(settings: Settings) -> Document:
    """Gather what `status --json` prints from the servers that run.

    Raises:
        Refused: the state folder is closed to us.
    """
    dsn = find_postgres(settings)
    return await overview.gather(settings, find_questdb(settings, DATABASE), look_at_database(dsn) if dsn else None)


def show(document: Document, settings: Settings) -> None:
    """Print it for people, and what to do next where something is wrong."""
    daemon, questdb, postgres = document["daemon"], document["questdb"], document["postgres"]
    running = f"running, pid {daemon['pid']}, since {daemon['since']}" if daemon["running"] else "not running"
    facts: list[tuple[str, object]] = [
        ("daemon", _colour(running, good=daemon["running"])),
        ("QuestDB", _describe_questdb(questdb)),
        ("PostgreSQL", _colour(postgres["error"] or "reachable", good=not postgres["error"])),
        ("files", _join(document["files"])),
        ("rows", _join(document["rows"])),
    ]
    facts += [("ignored", _describe_ignored(group)) for group in document["ignored"][:_MOST_REASONS]]
    facts += [("passed over", _describe_closed(item)) for item in document["data"]["unreadable"][:_MOST_REASONS]]
    if (more := len(document["data"]["unreadable"]) - _MOST_REASONS) > 0:
        facts.append(("passed over", f"{more} more folders: feefifod doctor"))
    facts += [
        ("zip", f"{item['name']}: {item['done']} of {item['members'] or '?'} members done") for item in document["zips"]
    ]
    facts += [("schedule", _tell_schedule(item)) for item in document["schedules"]]
    if repair := document["repair"]:
        facts.append(("last check", _describe_repair(repair)))
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
        f"{questdb['url']}, {questdb['table']}: {count_of(questdb['rows'], 'row')}{pending}{suspended}",
        good=not questdb["suspended"],
    )


def _describe_ignored(group: Mapping[str, Any]) -> str:
    return escape_controls(Ignored(group["reason"], group["files"], tuple(group["examples"])).describe())


def _describe_closed(item: Mapping[str, Any]) -> Text:
    return _colour(escape_controls(f"{item['path']}: {item['reason']}"), good=False)


def _describe_repair(repair: Mapping[str, Any]) -> Text:
    text = (
        f"{repair['checked_at']}, because of a {repair['cause']}: {count_of(repair['rows_repaired'], 'row')} repaired,"
        f" {count_of(repair['differences'], 'difference')} left"
    )
    return _colour(text, good=not repair["rows_repaired"] and not repair["differences"])


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
    if document["data"]["unreadable"]:
        yield f"Folders in {settings.paths.data} cannot be looked into. {REMEDY}. See: feefifod doctor"
    if (unmoved := document["unmoved"]) and unmoved["files"]:
        names = escape_controls(", ".join(unmoved["examples"]))
        yield (
            f"{unmoved['files']:,} files are decided ({unmoved['rows']:,} rows of them are in the table) and wait to be"
            f" moved, such as {names}. What is in the way: feefifod doctor"
        )
    yield from (f"{item['name']}: {item['reason']}" for item in document["data"]["downloads"][:3])
    if questdb["suspended"]:
        yield f'{questdb["error"]}. Cure the cause, then: feefifod query "ALTER TABLE {questdb["table"]} RESUME WAL"'
    if (repair := document["repair"]) and repair["differences"]:
        yield "The table differed from the archive when it was last checked. See: feefifod verify"
    if not daemon["running"]:
        if NOT_RUNNING in (questdb["error"], document["postgres"]["error"]):
            yield "No server is running: counts that only they know are missing. Start the daemon: feefifod run"
        if files[FileState.WAITING]:
            yield "Files are waiting, and no daemon runs: feefifod run, or once: feefifod run-once"
    if files[FileState.REJECTED]:
        yield f"Files were rejected; the reason lies beside each one: {settings.paths.rejected}/NAME.reason.json"
