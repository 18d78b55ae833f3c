"""PostgreSQL's data: made whole or made again, never thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feefifod.servers import look, use_servers
from tests.support.embedded import FREE_PORTS, NOTHING, fetch, servers_below


async def test_half_made_folder_is_made_again(state: Path) -> None:
    half = state / "postgres" / "new-1234"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (state / "postgres" / "new-secret").write_text("left")

    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        assert await fetch(servers.endpoints.postgres_dsn, "select 1") == 1
    assert [path.name for path in (state / "postgres").iterdir()] == ["data"]


@pytest.mark.parametrize("after_seconds", [0.5, 0.8, 1.1, 1.4])
async def test_killed_at_any_moment_of_the_first_start(
    state: Path, start_user: Callable[..., Any], after_seconds: float
) -> None:
    """Whatever a killed first start leaves (nothing, a running initdb, a server without record), the next one works."""
    user = start_user("postgres")
    time.sleep(after_seconds)
    user.kill()

    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        assert await fetch(servers.endpoints.postgres_dsn, "select current_database()") == "feefifod"
    assert look(state) == NOTHING
    deadline = time.monotonic() + 10
    while servers_below(state) and time.monotonic() < deadline:
        time.sleep(0.1)  # An orphaned initdb ends by itself.


async def test_lost_password_is_healed(state: Path) -> None:
    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        await fetch(servers.endpoints.postgres_dsn, "create table kept as select 42 as answer")
        old = servers.endpoints.postgres_dsn
    (state / "servers" / "postgres.password").unlink()

    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        assert servers.endpoints.postgres_dsn != old
        assert await fetch(servers.endpoints.postgres_dsn, "select answer from kept") == 42


async def test_complete_data_survives_a_start_that_fails(state: Path) -> None:
    """Data that PostgreSQL refuses is reported with its own words, and left as it is."""
    async with use_servers(FREE_PORTS, state, questdb=False):
        pass
    version = state / "postgres" / "data" / "PG_VERSION"
    owned = version.stat()
    version.write_text("17\n")

    with pytest.raises(Exception, match="incompatible with server"):
        async with use_servers(FREE_PORTS, state, questdb=False):
            pass
    assert version.stat().st_ino == owned.st_ino
    assert look(state) == NOTHING

    version.write_text("18\n")
    async with use_servers(FREE_PORTS, state, questdb=False) as servers:
        assert await fetch(servers.endpoints.postgres_dsn, "select 1") == 1
