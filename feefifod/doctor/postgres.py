"""PostgreSQL: does it answer, is it durable, does its clock agree, and who left work behind in the ledger."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import anyio

from feefifod.catalog import OtherSchema, check_schema
from feefifod.catalog.owner import is_dead
from feefifod.doctor.finding import Finding, fail, good, warn
from feefifod.doctor.statements import load_statement
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from feefifod.catalog import Database

_OLDEST_TESTED: Final = 150_000
_CLOCK_SECONDS: Final = 2.0
CHECK: Final = "PostgreSQL"

_LEFT: Final = {
    "file": ("file in work", "files in work"),
    "backfill": ("unfinished backfill",),
    "schedule": ("schedule",),
    "copy": ("unfinished copy of the table", "unfinished copies of the table"),
}


async def check_postgres(database: Database, *, daemon_runs: bool) -> list[Finding]:
    """Look at the server behind an open pool, and at the ledger in it.

    Raises:
        Unavailable, Refused: it does not answer after all.
    """
    before = time.time()
    [server] = await database.fetch(load_statement("server"))
    after = time.time()
    findings = [good(CHECK, "answers", "assets, the ledger of files and the runs of backfills live there")]
    findings += judge_server(server["version"], server["number"], server["fsync"], server["synchronous_commit"])
    findings.append(judge_clock(server["now"], before, after))
    try:
        await check_schema(database)
    except OtherSchema as error:
        why = "assets, the ledger of files and the runs of backfills live there"
        return [*findings, warn(f"{CHECK} tables", error.why, why, error.remedy)]
    work = await database.fetch(load_statement("work"))
    findings += judge_work([(row["kind"], row["owner"], row["ended"], row["number"]) for row in work])
    paths = [row["path"] for row in await database.fetch(load_statement("waiting"))]
    findings += judge_waiting(await anyio.to_thread.run_sync(_find_missing, paths), daemon_runs=daemon_runs)
    return findings


def judge_server(version: str, number: int, fsync: str, synchronous_commit: str) -> Iterator[Finding]:
    """Judge version and durability."""
    why = "feefifod is tested with PostgreSQL 15 and newer"
    if number < _OLDEST_TESTED:
        yield warn(f"{CHECK} version", version, why, "Upgrade it")
    else:
        yield good(f"{CHECK} version", version, why)
    why = "a file moves to ingested/ only after its proof is on disk there"
    if off := [n for n, v in (("fsync", fsync), ("synchronous_commit", synchronous_commit)) if v == "off"]:
        name = off[0]
        remedy = f"Run in PostgreSQL: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"
        yield warn(f"{CHECK} settings", f"{name} = off", why, remedy)
    else:
        yield good(f"{CHECK} settings", f"fsync = {fsync}, synchronous_commit = {synchronous_commit}", why)


def judge_clock(theirs: float, before: float, after: float) -> Finding:
    """Compare PostgreSQL's clock with ours, which was read before and after."""
    why = "leases and the pace of API calls follow PostgreSQL's clock, schedules and 'not after tomorrow' follow ours"
    apart = max(before - theirs, theirs - after, 0.0)
    if apart <= _CLOCK_SECONDS:
        return good("clock", f"agrees with PostgreSQL's within {max(apart, after - before):.1f} s", why)
    behind = "behind" if theirs > after else "ahead of"
    what = f"this machine's clock is {apart:,.0f} s {behind} PostgreSQL's"
    return warn("clock", what, why, "Run a time service on both machines: timedatectl set-ntp true")


def judge_work(work: Iterable[tuple[str, str, bool, int]]) -> list[Finding]:
    """Say which work was left by processes that are gone: (kind, owner, whether its lease has ended, how many)."""
    why = "the next run takes over what a dead process left, a file from its last checkpoint"
    findings = []
    lively = 0
    for kind, owner, ended, number in work:
        if not ended and not (owner and is_dead(owner)):
            lively += number
            continue
        host, _, rest = owner.partition("/")
        who = f"process {rest.partition('/')[0]} on {host.partition('.')[0]}" if rest else "a process that has ended"
        what = count_of(number, *_LEFT[kind])
        remedy = "Run: feefifod run-once (or the daemon: feefifod run)"
        if kind == "copy":
            remedy = "Run again: feefifod setup-questdb-schema --partition-by, which goes on with it"
        findings.append(warn("ledger", f"{what} left by {who}", why, remedy))
    if not findings:
        doing = f"{lively} in work, all by living processes" if lively else "nothing is in work"
        findings.append(good("ledger", doing, why))
    return findings


def judge_waiting(missing: list[str], *, daemon_runs: bool) -> Iterator[Finding]:
    """Say which files the ledger waits for, but are gone."""
    if missing and not daemon_runs:
        what = f"{len(missing)} waiting in the ledger, but gone from disk, such as {missing[0]}"
        yield warn(
            "ledger", what, "they were removed by hand, or lie elsewhere", "Run: feefifod run-once, it forgets them"
        )


def _find_missing(paths: list[bytes]) -> list[str]:
    return [os.fsdecode(path) for path in paths if not os.path.lexists(path)]


def unreachable(why: str, remedy: str) -> Finding:
    """Say that PostgreSQL does not answer."""
    return fail(CHECK, why, "nothing can be claimed or recorded, files wait in data/", remedy)
