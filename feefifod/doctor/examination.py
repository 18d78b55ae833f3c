"""The whole examination, in the order in which things depend on each other."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from feefifod.catalog import OtherSchema, check_schema, connect_database
from feefifod.doctor.embedded import check_embedded
from feefifod.doctor.finding import fail, good, warn
from feefifod.doctor.folders import check_disks, check_folders
from feefifod.doctor.keys import ask_apis, find_keys
from feefifod.doctor.limits import check_limits, read_max_maps, read_open_files
from feefifod.doctor.partitions import Machine
from feefifod.doctor.postgres import check_postgres, unreachable
from feefifod.doctor.questdb import check_questdb
from feefifod.doctor.surroundings import check_surroundings
from feefifod.errors import FeefifodError, Refused
from feefifod.log import redact
from feefifod.servers import find_start, look, read_daemon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feefifod.config import QuestDBSettings, Settings
    from feefifod.doctor.finding import Finding
    from feefifod.servers import PairStatus

EMBEDDED: Final = "embedded"
_LOOK_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Where servers answer.

    Attributes:
        questdb: each configured database, with what lets us in; None for one that is embedded and does not run.
        postgres: the DSN; None when it is embedded and does not run.
    """

    questdb: Mapping[str, QuestDBSettings | None]
    postgres: str | None


async def examine(
    settings: Settings, reach: Reach, environ: Mapping[str, str], now: datetime, *, online: bool
) -> list[Finding]:
    """Look at everything but the configuration, which was read before; starts and changes nothing.

    Args:
        environ: where API keys are looked up.
        now: the time, aware.
        online: make one call to each API that there is a key for.
    """
    findings: list[Finding] = []
    pair: PairStatus | None = None
    daemon_runs = False
    try:
        pair = look(settings.paths.state)
        daemon = read_daemon(settings.paths.state)
        daemon_runs = daemon is not None
        what = f"runs, pid {daemon.pid}, since {daemon.since:%Y-%m-%d %H:%M} UTC" if daemon else "does not run"
        findings.append(good("daemon", what, "it watches data/ and runs the schedules: feefifod run"))
    except Refused as error:
        findings.append(fail("state", error.why, "whether servers and the daemon run is written there", error.remedy))
    found, reach = _look_at_embedded(settings, pair, reach)
    findings += found
    roots: list[tuple[str, Path]] = []
    for name, server in reach.questdb.items():
        if server is not None:
            machine = _look_at_machine(server.url, pair if settings.databases[name].url == EMBEDDED else None)
            found, parameters = await check_questdb(name, server, server.url, machine)
            findings += found
            root = Path(parameters.get("cairo.sql.copy.root", ""))
            if settings.databases[name].url != EMBEDDED and is_local(server.url) and root.is_absolute():
                roots.append((f"QuestDB {name}", root))
    keys_found, keys = find_keys(settings.schedules, environ, daemon_runs=daemon_runs)
    if reach.postgres is None:
        online_found = await ask_apis(settings.sources, settings.schedules, keys, None, now) if online else []
    else:
        found, online_found = [], []
        try:
            async with connect_database(reach.postgres, look_only=not online) as database:
                with anyio.fail_after(_LOOK_SECONDS):
                    found = await check_postgres(database, daemon_runs=daemon_runs)
                    await check_schema(database)
                if online:
                    online_found = await ask_apis(settings.sources, settings.schedules, keys, database, now)
        except OtherSchema:
            pass  # It is among the findings.
        except FeefifodError as error:
            found.append(unreachable(redact(error.why), error.remedy))
        except TimeoutError:
            found.append(unreachable(f"no answer within {_LOOK_SECONDS:g} s", "See the log of PostgreSQL"))
        if online and not online_found:
            online_found = await ask_apis(settings.sources, settings.schedules, keys, None, now)
        findings += found
    paths = settings.paths
    findings += await to_thread.run_sync(check_folders, paths)
    disks = [("data", paths.data), ("ingested", paths.ingested), ("rejected", paths.rejected), ("state", paths.state)]
    findings += check_disks([*disks, *roots])
    findings += check_limits(
        paths.data,
        questdb_is_here=any(server is None or is_local(server.url) for server in reach.questdb.values()),
        questdb_pid=pair.questdb.pid if pair and pair.questdb else None,
        polls=settings.watch.poll,
    )
    findings += check_surroundings(paths.state) if pair or None in reach.questdb.values() else ()
    return [*findings, *keys_found, *online_found]


def _look_at_machine(url: str, pair: PairStatus | None) -> Machine:
    """Find out what QuestDB may take where it runs; `pair` when it is the embedded one."""
    pid = pair.questdb.pid if pair and pair.questdb else None
    return Machine(read_max_maps() if is_local(url) else None, read_open_files(pid) if pid is not None else None)


def _look_at_embedded(settings: Settings, pair: PairStatus | None, reach: Reach) -> tuple[list[Finding], Reach]:
    """Look at the embedded servers, and return which servers can be asked."""
    questdb = any(database.url == EMBEDDED for database in settings.databases.values())
    postgres = settings.postgres.url.get_secret_value() == EMBEDDED
    start = find_start(settings.paths.state) if pair and (questdb or postgres) else None
    if start is None:
        return list(check_embedded(settings.embedded, pair, questdb=questdb, postgres=postgres)), reach
    # What is not there yet is not asked, and nothing is wrong with it.
    away = {name: None for name, database in settings.databases.items() if database.url == EMBEDDED}
    found = warn("embedded servers", str(start), "until then nothing can be stored", "Wait for it")
    return [found], Reach({**reach.questdb, **away}, None if postgres else reach.postgres)


def is_local(url: str) -> bool:
    """Tell whether a URL leads to this machine for certain."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
