"""One pair for all users of a state, however they come and go."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import urllib.parse
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from structlog.testing import capture_logs

from feefifod.errors import ConfigError
from feefifod.servers import keep_up, look, take_down, use_servers
from feefifod.servers.ports import find_free
from tests.support.embedded import FREE_PORTS, NOTHING, fetch, query, servers_below


async def test_starts_a_closed_pair_in_any_path(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both work in a long path with spaces, on loopback only, quiet, with nothing secret in sight, and end."""
    monkeypatch.setenv("MASSIVE_API_KEY", "canary-key")
    monkeypatch.setenv("NOTIFY_SOCKET", "/canary/socket")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/canary/credentials")
    state = tmp / "a folder with spaces" / ("long" * 30) / "ein ü, 'quoted'"

    async with use_servers(FREE_PORTS, state) as servers:
        endpoints = servers.endpoints
        status = look(state)
        assert status.questdb is not None
        assert status.postgres is not None
        assert status.users == (os.getpid(),)

        assert await fetch(endpoints.postgres_dsn, "select current_user || current_database()") == "feefifod" * 2
        assert await fetch(endpoints.postgres_dsn, "show fsync") == "on"
        pq.write_table(pa.table({"a": [1, 2, 3]}), endpoints.import_dir / "x.parquet")
        answer = query(endpoints.questdb_url, "select sum(a) from read_parquet('x.parquet')")
        assert answer["dataset"] == [[6]]
        parameters = query(endpoints.questdb_url, "select property_path, value from (show parameters)")["dataset"]
        values = dict(parameters)
        names = ("telemetry.enabled", "line.auto.create.new.columns", "line.auto.create.new.tables", "line.tcp.enabled")
        assert {values[name] for name in names} == {"false"}

        password = urllib.parse.urlsplit(endpoints.postgres_dsn).password
        assert password
        assert password not in repr(endpoints) + repr(status)
        family = [process for s in (status.questdb, status.postgres) for process in family_of(s.pid)]
        for process in family:
            assert password not in " ".join(process.cmdline())
            assert os.getsid(process.pid) != os.getsid(0)
            assert not [name for name in process.environ() if "canary" in process.environ()[name]]
        listening = [c.laddr for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert len({address.port for address in listening}) == 4

        for log in (state / "servers").glob("*.log"):
            text = log.read_text(errors="replace")
            assert password not in text
            assert " I " not in text
            assert len(text) < 10_000
        assert stat.S_IMODE((state / "servers").stat().st_mode) == 0o700
        assert stat.S_IMODE((state / "servers" / "postgres.password").stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) in {0o700, 0o711}

    assert look(state) == NOTHING


def family_of(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def test_second_process_shares(state: Path, start_user: Callable[..., Any]) -> None:
    """A second user finds the running servers, in no time, and they outlive the first, but not the last."""
    first = start_user("postgres")
    one = first.answer()
    second = start_user("postgres")
    two = second.answer()
    assert two["postgres"] == one["postgres"]
    assert two["postgres_dsn"] == one["postgres_dsn"]
    assert look(state).users == tuple(sorted([one["user"], two["user"]]))

    first.leave()
    assert await fetch(two["postgres_dsn"], "select 1") == 1
    assert look(state).users == (two["user"],)
    second.leave()
    assert look(state) == NOTHING


async def test_starting_at_the_same_time_makes_one(state: Path, start_user: Callable[..., Any]) -> None:
    """Users that start at the same time on nothing do not start two servers."""
    users = [start_user("postgres") for _ in range(3)]

    assert len({user.answer()["postgres"] for user in users}) == 1
    for user in users:
        user.leave()
    assert look(state) == NOTHING


@pytest.mark.parametrize("which", ["postgres", "both"])
async def test_killed_user_leaves_servers_to_adopt(state: Path, start_user: Callable[..., Any], which: str) -> None:
    """After kill -9 of the only user the next one adopts what runs."""
    user = start_user(which)
    before = user.answer()
    user.kill()
    assert look(state).users == ()

    async with use_servers(FREE_PORTS, state, questdb=which == "both") as servers:
        status = look(state)
        assert status.postgres is not None
        assert status.postgres.pid == before["postgres"]
        assert (status.questdb and status.questdb.pid) == before["questdb"]
        assert servers.endpoints.postgres_dsn == before["postgres_dsn"]
    assert look(state) == NOTHING


async def test_servers_of_other_settings_are_replaced(state: Path, start_user: Callable[..., Any]) -> None:
    """Servers that nobody uses and that do not fit the configuration make place for some that do."""
    user = start_user("postgres")
    before = user.answer()
    user.kill()
    (port,) = find_free(1)

    settings = FREE_PORTS.model_copy(update={"postgres_port": port})
    async with use_servers(settings, state, questdb=False) as servers:
        status = look(state)
        assert status.postgres is not None
        assert status.postgres.pid != before["postgres"]
        assert urllib.parse.urlsplit(servers.endpoints.postgres_dsn).port == port


async def test_recycled_pid_is_neither_adopted_nor_killed(state: Path) -> None:
    """A record whose pid now belongs to someone else means nothing, nor does a stale lock file of PostgreSQL."""
    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        await fetch(servers.endpoints.postgres_dsn, "create table kept as select 42 as answer")
    record = state / "servers" / "postgres.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "pid": os.getpid()}))
    (state / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert look(state) == NOTHING

    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        assert await fetch(servers.endpoints.postgres_dsn, "select answer from kept") == 42


async def test_unrecorded_server_is_replaced(state: Path, start_user: Callable[..., Any]) -> None:
    """A server whose starter was killed before it could write it down is found and replaced."""
    user = start_user("postgres")
    before = user.answer()
    user.kill()
    (state / "servers" / "postgres.json").unlink()

    async with use_servers(FREE_PORTS, state, questdb=False):
        assert [process.pid for process in servers_below(state)] != [before["postgres"]]
        assert len(servers_below(state)) == 1


async def test_supervise_restarts_what_dies(state: Path) -> None:
    """A killed server comes back on its port with its data, soon."""
    async with use_servers(FREE_PORTS, state) as servers, anyio.create_task_group() as group:
        group.start_soon(servers.supervise)
        endpoints = servers.endpoints
        query(endpoints.questdb_url, "create table t (a int, ts timestamp) timestamp(ts) partition by day wal")
        query(endpoints.questdb_url, "insert into t values (7, '2024-01-01')")
        await fetch(endpoints.postgres_dsn, "create table kept as select 42 as answer")
        before = look(state)
        assert before.questdb is not None
        assert before.postgres is not None
        os.kill(before.questdb.pid, signal.SIGKILL)
        os.kill(before.postgres.pid, signal.SIGKILL)

        async def returns() -> bool:
            after = look(state)
            if after.questdb is None or after.postgres is None or after.postgres.pid == before.postgres.pid:
                return False
            try:
                rows = await anyio.to_thread.run_sync(query, endpoints.questdb_url, "select a from t")
                kept = await fetch(endpoints.postgres_dsn, "select answer from kept")
            except (OSError, asyncpg.PostgresError):
                return False
            return rows["dataset"] == [[7]] and kept == 42

        with anyio.fail_after(60):
            while not await returns():
                await anyio.sleep(0.2)
        assert servers.endpoints == endpoints
        group.cancel_scope.cancel()
    assert look(state) == NOTHING


async def test_supervise_notices_within_a_second(state: Path) -> None:
    async with use_servers(FREE_PORTS, state, questdb=False) as servers, anyio.create_task_group() as group:
        with capture_logs() as logs:
            group.start_soon(servers.supervise)
            server = look(state).postgres
            assert server is not None
            await anyio.sleep(1)
            os.kill(server.pid, signal.SIGKILL)
            with anyio.fail_after(1.5):
                while "server_down" not in [entry["event"] for entry in logs]:
                    await anyio.sleep(0.02)
            group.cancel_scope.cancel()


async def test_kept_up_until_taken_down(state: Path, start_user: Callable[..., Any]) -> None:
    """`keep_up` outlives all users; `take_down` waits for those that are left."""
    up = await keep_up(FREE_PORTS, state)
    assert up.kept_up
    assert up.users == ()
    assert up.questdb is not None
    assert up.postgres is not None

    user = start_user("both")
    assert user.answer()["questdb"] == up.questdb.pid
    user.leave()
    assert look(state) == up

    last = start_user("postgres")
    last.answer()
    down = await take_down(state)
    assert down.users == (last.process.pid,)
    assert not down.kept_up
    assert down.postgres == up.postgres
    last.leave()
    assert look(state) == NOTHING
    assert await take_down(state) == NOTHING


async def test_looking_starts_and_makes_nothing(state: Path) -> None:
    assert look(state) == NOTHING
    assert await take_down(state) == NOTHING
    assert not state.exists()


@pytest.mark.parametrize("setting", ["http_port", "pg_wire_port", "health_port", "postgres_port"])
async def test_busy_port_is_named_with_its_holder(state: Path, setting: str) -> None:
    with closing(listen()) as busy:
        port = busy.getsockname()[1]
        settings = FREE_PORTS.model_copy(update={setting: port})
        wanted = {"questdb": setting != "postgres_port", "postgres": setting == "postgres_port"}

        with pytest.raises(ConfigError) as refusal:
            async with use_servers(settings, state, **wanted):
                pass

    assert f"port {port}" in str(refusal.value)
    assert f"pid {os.getpid()}" in str(refusal.value)
    assert refusal.value.where == f"embedded.{setting}"
    assert look(state) == NOTHING


def listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))
