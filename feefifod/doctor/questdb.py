"""QuestDB: does it answer, is it new enough, what in its settings costs speed or safety, and how is the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from feefifod.doctor.finding import Finding, Level, fail, good, warn
from feefifod.doctor.partitions import Machine, judge_partitions
from feefifod.doctor.statements import load_statement
from feefifod.errors import FeefifodError
from feefifod.log import redact
from feefifod.sink import QuestDBClient, describe_table
from feefifod.sink.apply import is_short
from feefifod.sink.schema import COLUMNS, DEDUP_KEYS
from feefifod.sink.sql import MORE_MAPS, Identifier, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feefifod.config import QuestDBSettings

LOOK_SECONDS: Final = 15.0
OLDEST: Final = (9, 3, 1)
TESTED: Final = (9, 3, 4)

_VERSION: Final = re.compile(r"QuestDB (\d+)\.(\d+)\.(\d+)")
_DEFAULT_LAG_BYTES: Final = 78_643_200


@dataclass(frozen=True, slots=True)
class Rule:
    """A setting of QuestDB and what it should be."""

    key: str
    fits: Callable[[str], bool]
    wanted: str
    level: Level
    why: str


def _is(value: str) -> Callable[[str], bool]:
    return lambda found: found.lower() == value


RULES: Final = (
    Rule("readonly", _is("false"), "false", Level.ERROR, "a read-only server stores nothing"),
    Rule("http.security.readonly", _is("false"), "false", Level.ERROR, "feefifod makes and checks its table over HTTP"),
    Rule(
        "cairo.wal.apply.enabled",
        _is("true"),
        "true",
        Level.ERROR,
        "without it acknowledged rows never become visible, and no file is ever done",
    ),
    Rule(
        "line.auto.create.new.columns",
        _is("false"),
        "false",
        Level.WARNING,
        "any writer's misspelt name becomes a column, and feefifod refuses a table with foreign columns",
    ),
    Rule(
        "line.auto.create.new.tables",
        _is("false"),
        "false",
        Level.WARNING,
        "any writer's misspelt name becomes a table, and its rows are missed elsewhere",
    ),
    Rule(
        "cairo.wal.max.lag.size",
        lambda found: not found.isdigit() or int(found) >= _DEFAULT_LAG_BYTES,
        str(_DEFAULT_LAG_BYTES),
        Level.WARNING,
        "it limits how many rows are merged at once: a smaller one rewrites each partition more often",
    ),
    Rule("telemetry.enabled", _is("false"), "false", Level.WARNING, "the server reports its use to its vendor"),
)


async def check_questdb(
    name: str, settings: QuestDBSettings, url: str, machine: Machine
) -> tuple[list[Finding], Mapping[str, str]]:
    """Look at one QuestDB that should answer at `url`; return the findings and the server's settings."""
    check = label(name)
    findings: list[Finding] = []
    parameters: dict[str, str] = {}
    try:
        with anyio.fail_after(LOOK_SECONDS):
            client = QuestDBClient(settings, url)
            [[build]] = (await client.query(load_statement("build"))).rows
            findings.append(good(check, f"answers at {url}", "candles go there"))
            findings.append(judge_version(check, str(build)))
            answer = await client.query(load_statement("parameters"))
            parameters = {row[0]: str(row[2]) for row in answer.rows}
            findings += judge_settings(check, parameters, import_dir=settings.import_dir)
            suspended = (await client.query(load_statement("suspended"))).rows
            findings += judge_suspended(check, suspended, settings.table)
            findings += await _check_table(check, client, settings, parameters, machine)
    except (FeefifodError, TimeoutError) as error:
        what = redact(error.why) if isinstance(error, FeefifodError) else f"no answer within {LOOK_SECONDS:g} s"
        remedy = error.remedy if isinstance(error, FeefifodError) else ""
        remedy = remedy or f"Check that QuestDB runs, and [databases.{name}] url"
        findings.append(fail(check, f"{url}: {what}", "nothing can be stored, files wait in data/", remedy))
    return findings, parameters


async def read_version(client: QuestDBClient, *, timeout_seconds: float) -> str | None:
    """Ask a server for its version, such as `9.3.4`; None when it is not understood.

    Raises:
        Unavailable, Refused: as `QuestDBClient.query`.
    """
    [[build]] = (await client.query(load_statement("build"), timeout_seconds=timeout_seconds)).rows
    found = _VERSION.search(str(build))
    return ".".join(found.groups()) if found else None


def label(name: str) -> str:
    """Name a database of the configuration."""
    return "QuestDB" if name == "questdb" else f"QuestDB {name!r}"


def judge_version(check: str, build: str) -> Finding:
    """Judge what `select build` says."""
    found = _VERSION.search(build)
    check = f"{check} version"
    why = "older ones lack columns that feefifod watches, and lose or delay rows in ways that were fixed since"
    newest = ".".join(map(str, TESTED))
    if found is None:
        return warn(check, f"not understood: {build}", why, f"Use QuestDB {newest}")
    version = tuple(map(int, found.groups()))
    text = ".".join(found.groups())
    if version < OLDEST:
        return fail(check, f"{text}, and {'.'.join(map(str, OLDEST))} is needed", why, f"Upgrade it to {newest}")
    if version < TESTED:
        return warn(
            check, f"{text}; it works, {newest} is what feefifod is tested with", why, f"Upgrade it to {newest}"
        )
    return good(check, text, why)


def judge_settings(check: str, parameters: Mapping[str, str], *, import_dir: str) -> list[Finding]:
    """Judge the server's settings, by `SHOW PARAMETERS`; what a version does not have is not judged."""
    check = f"{check} settings"
    findings = [
        Finding(check, rule.level, f"{rule.key} = {found}", rule.why, _how_to_set(rule.key, rule.wanted))
        for rule in RULES
        if (found := parameters.get(rule.key)) is not None and not rule.fits(found)
    ]
    if import_dir and not parameters.get("cairo.sql.copy.root", ""):
        findings.append(
            warn(
                check,
                "cairo.sql.copy.root is not set, but import_dir is",
                "the bulk lane, which is more than twice as fast, stays closed",
                _how_to_set("cairo.sql.copy.root", import_dir),
            )
        )
    mode = parameters.get("cairo.commit.mode", "unknown")
    safe = "rows survive a killed process, but not a power cut" if mode == "nosync" else "rows survive a power cut too"
    more = ": after one, run feefifod verify --repair" if mode == "nosync" else ", at the price of speed"
    findings.append(good(check, f"cairo.commit.mode = {mode}", safe + more))
    return findings


def _how_to_set(key: str, value: str) -> str:
    variable = f"QDB_{key.upper().replace('.', '_')}"
    return f"Set {key}={value} in QuestDB's conf/server.conf (or {variable}={value}), and restart it"


def judge_suspended(check: str, suspended: list[list[Any]], ours: str) -> Iterator[Finding]:
    """Say which tables have stopped to show what they are sent."""
    check = f"{check} suspended tables"
    if not suspended:
        yield good(check, "none", "a suspended table accepts rows and shows none of them")
    for table, tag, message in suspended:
        cause = f"{tag or ''} {message or ''}".strip() or "no cause given"
        level = Level.ERROR if table == ours else Level.WARNING
        remedy = f'Cure the cause, then: feefifod query "ALTER TABLE {table} RESUME WAL"'
        if table == ours and is_short(tag, message):
            remedy = f'{MORE_MAPS}; or now: feefifod query "ALTER TABLE {table} RESUME WAL"'
        yield Finding(check, level, f"{table}: {cause}", "it accepts rows and shows none of them", remedy)


async def _check_table(
    name: str, client: QuestDBClient, settings: QuestDBSettings, parameters: Mapping[str, str], machine: Machine
) -> list[Finding]:
    table = settings.table
    facts = await describe_table(client, table)
    check = f"{name} table"
    if facts is None:
        why = "the first ingest makes it, and so does: feefifod setup-questdb-schema"
        return [good(check, f"there is no table {table} yet", why)]
    answer = await client.query(render(load_statement("columns"), table=Identifier(table)))
    columns = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    kinds = {column["column"]: column["type"] for column in columns}
    keys = {column["column"] for column in columns if column["upsertKey"]}
    keys = keys if facts.dedup else set()
    [[partitions]] = (await client.query(render(load_statement("partitions"), name=table))).rows
    return [
        *judge_table(check, settings, kinds, keys, partition_by=facts.partition_by, rows=facts.rows),
        judge_partitions(
            name,
            machine,
            parameters,
            table=table,
            partition_by=facts.partition_by,
            partitions=partitions,
            columns=len(kinds),
        ),
    ]


def judge_table(
    check: str, settings: QuestDBSettings, kinds: Mapping[str, str], keys: set[str], *, partition_by: str, rows: int
) -> Iterator[Finding]:
    """Compare the table with what feefifod needs. `kinds`: type by column; `keys`: DEDUP keys, empty when it is off."""
    remedy = (
        f"Choose another table in [databases] ({settings.table} is taken), change it, or drop it with all its rows: "
        "feefifod setup-questdb-schema --drop"
    )
    if wrong := sorted({name for name, _ in kinds.items() ^ COLUMNS.items()}):
        what = f"{settings.table} differs in: {', '.join(wrong)}"
        yield fail(check, what, "feefifod refuses a table with other columns", remedy)
    if keys != DEDUP_KEYS:
        now = f"has the keys {', '.join(sorted(keys))}" if keys else "is off"
        why = "it hides repeats: without it a retry doubles rows"
        yield fail(check, f"DEDUP of {settings.table} {now}", why, "Run: feefifod setup-questdb-schema")
    if not wrong and keys == DEDUP_KEYS:
        what = f"{settings.table}: {rows:,} rows, by {partition_by}, DEDUP on its five keys"
        yield good(check, what, "columns and DEDUP are what exactly-once rests on; any partitioning is taken")
