"""PgBouncer between feefifod and PostgreSQL: in each of its modes every command works, also beside others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
import pytest

from feefifod.catalog import connect_database, open_database
from feefifod.catalog.runs import ScheduleClaims
from feefifod.errors import FeefifodError
from feefifod.servers import Endpoints
from feefifod.servers.ports import find_free
from tests.support.daemon import World, database, describe, wait_until
from tests.support.embedded import fetch, unique_name
from tests.support.other_user import NOBODY, open_folder
from tests.support.samples import file

pytestmark = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")


@contextmanager
def run_pgbouncer(folder: Path, dsn: str, mode: str) -> Iterator[str]:
    """Run one in front of a database, and give the URL; each transaction gets another session of the server."""
    server = urlsplit(dsn)
    [port] = find_free(1)
    login = f"user={unquote(server.username or '')} password='{unquote(server.password or '')}'"
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port} {login}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = {mode}\nserver_round_robin = 1\ndefault_pool_size = 20\n"
    )
    settings.chmod(0o644)
    other = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    log = folder / "pgbouncer.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*other, "pgbouncer", str(settings)], stdout=output, stderr=output)
        try:
            url = f"postgresql://anyone:secret@127.0.0.1:{port}{server.path}"
            wait_until(lambda: "process up" in log.read_text() or process.poll() is not None, what=log.read_text())
            assert process.poll() is None, log.read_text()
            yield url
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(params=["session", "transaction"])
def pooled(request: pytest.FixtureRequest, pair: Endpoints) -> Iterator[str]:
    with (
        open_folder() as folder,
        database(pair.postgres_dsn, unique_name("pooled")) as dsn,
        run_pgbouncer(folder, dsn, request.param) as url,
    ):
        yield url


def test_commands_work_beside_a_daemon(pooled: str, pair: Endpoints, tmp_path: Path) -> None:
    """The daemon, and beside it each command that looks, and two that load."""
    sections = describe(questdb={"url": pair.questdb_url, "table": unique_name("prices")}, postgres_url=pooled)
    world = World(tmp_path / "feefifod", sections, questdb_url=pair.questdb_url, postgres_dsn=pooled)
    try:
        world.drop("XBTUSD_60.csv", file(300, interval=60))
        world.run("run-once")
        daemon = world.start()
        daemon.wait_for("watching")
        world.drop("ETHUSD_60.csv", file(300, interval=60))
        for command in ("status", "doctor", "verify", "run-once", "status"):
            ended = world.run(command, code=None)
            assert "Traceback" not in ended.text
            assert "PostgreSQL is not reachable" not in ended.text
            assert ended.wait() == 0, ended.text[-3000:]
        wait_until(lambda: len(list(world.ingested.glob("*_60.*csv"))) == 2, what="both files are in")
        daemon.stop()
        assert "waiting" not in [event["event"] for event in daemon.events("waiting")]
    finally:
        world.close()


async def test_claims_beside_each_other(pooled: str) -> None:
    """One of many that claim a schedule at once gets it, through several pools of sessions."""
    taken: list[object] = []

    async def claim(name: str) -> None:
        async with open_database(pooled) as one:
            claims = ScheduleClaims(one)
            await claims.know(name)
            if (got := await claims.claim(name, None)) is not None:
                taken.append(got)
                await claims.renew(got)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(claim, f"schedule {number % 2}")
    assert len(taken) == 2


async def test_a_look_changes_nothing(pooled: str) -> None:
    """The server refuses a change where only a look was asked for, and the session stays usable for others."""
    async with connect_database(pooled, look_only=True) as database:
        with pytest.raises(FeefifodError):
            await database.execute("CREATE TABLE never (number integer)")
    async with connect_database(pooled) as database:
        await database.execute("CREATE TABLE once (number integer)")
        assert await database.execute("INSERT INTO once VALUES ($1), ($1)", 1) == 2
    assert await fetch(pooled, "SELECT to_regclass('never') IS NULL")
