"""The embedded QuestDB lets nobody in without its password: its SQL answers to GET, which any web page can send."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import asyncpg
import psutil
import pytest

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Unavailable
from feefifod.log import redact
from feefifod.servers import find_embedded_questdb, keep_up, look, take_down, use_servers
from feefifod.servers.questdb import QuestDB
from feefifod.servers.record import read_record
from feefifod.sink import QuestDBClient
from tests.support.embedded import FREE_PORTS, NOTHING, command_without_password, query, servers_below

DOORS = ("/exec?query=select%201", "/exec?query=DROP%20TABLE%20x", "/exp?query=select%201", "/chk?f=json&j=x")
POSTS = ("/exec", "/imp", "/write", "/api/v2/write", "/settings")


def ask(url: str, *, data: bytes | None = None) -> int:
    """Ask as a web page would; returns the status."""
    request = urllib.request.Request(url, data, headers={"Origin": "http://evil.example"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_every_door_asks_for_the_password(state: Path) -> None:
    async with use_servers(FREE_PORTS, state, postgres=False) as servers:
        url, password = servers.endpoints.questdb_url, servers.endpoints.questdb_password
        assert {door: ask(url + door) for door in DOORS} == dict.fromkeys(DOORS, 401)
        assert {door: ask(url + door, data=b"a b=1") for door in POSTS} == dict.fromkeys(POSTS, 401)

        record = read_record(state / "servers" / "questdb.json")
        assert record is not None
        assert ask(f"http://127.0.0.1:{record.ports['health_port']}/ping") < 300
        for user, secret in (("admin", "quest"), ("user", "quest"), ("feefifod", "wrong")):
            with pytest.raises((asyncpg.PostgresError, OSError)):
                await asyncpg.connect(
                    host="127.0.0.1", port=record.ports["pg_wire_port"], user=user, password=secret, database="qdb"
                )

        file = state / "servers" / "questdb.password"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().strip() == password
        assert len(password) >= 32
        status = look(state).questdb
        assert status is not None
        assert (status.user, status.password_file) == ("feefifod", str(file.resolve()))
        assert password not in " ".join(psutil.Process(status.pid).cmdline())
        assert password not in repr(servers.endpoints) + (state / "servers" / "questdb.log").read_text()
        assert password not in (state / "servers" / "questdb.json").read_text()
        assert password not in redact(f"it says {password}")

        section = find_embedded_questdb(QuestDBSettings(), state)
        assert section is not None
        assert (await QuestDBClient(section, section.url).query("select 6 * 7")).rows == [[42]]
        assert password not in repr(section)
        shown = await QuestDBClient(section, section.url).query("show parameters")
        assert password not in str(shown.rows)


async def test_one_that_an_older_version_left_running_gets_it_at_the_next_start(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(QuestDB, "command", command_without_password)
        older.setattr(QuestDB, "_digest_password", lambda self: "")
        await keep_up(FREE_PORTS, state)
    (state / "servers" / "questdb.password").unlink()
    try:
        open_one = look(state).questdb
        assert open_one is not None
        assert open_one.password_file == ""
        assert ask(open_one.url + DOORS[0]) == 200

        async with use_servers(FREE_PORTS, state, postgres=False) as servers:
            closed = look(state).questdb
            assert closed is not None
            assert closed.pid != open_one.pid
            assert ask(servers.endpoints.questdb_url + DOORS[0]) == 401
            assert query(servers.endpoints.questdb_url, "select 1")["dataset"] == [[1]]
    finally:
        await take_down(state)
    assert look(state) == NOTHING


async def test_a_lost_password_file_is_made_again_and_a_changed_one_is_said(state: Path) -> None:
    file = state / "servers" / "questdb.password"
    async with use_servers(FREE_PORTS, state, postgres=False) as first:
        password = first.endpoints.questdb_password
        file.write_text("another\n")
        with pytest.raises(Unavailable, match="its password has been changed since"):
            async with use_servers(FREE_PORTS, state, postgres=False):
                pass
        file.unlink()
        for process in servers_below(state):
            process.kill()
            process.wait(10)
        await first._questdb.ensure(shared=True)
        assert file.read_text().strip() == password
        assert query(first.endpoints.questdb_url, "select 1")["dataset"] == [[1]]
    file.unlink()
    async with use_servers(FREE_PORTS, state, postgres=False) as again:
        assert again.endpoints.questdb_password not in ("", password)
        assert query(again.endpoints.questdb_url, "select 1")["dataset"] == [[1]]
