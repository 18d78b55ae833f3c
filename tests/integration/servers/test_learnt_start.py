"""QuestDB's start is learnt once, used from then on, and never in the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from feefifod.config.settings import EmbeddedSettings
from feefifod.servers import learning, use_servers
from feefifod.servers.artifact import find_learnt, provide_questdb
from feefifod.servers.questdb import QuestDB

_ANY_PORTS = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0)


@pytest.fixture
async def jar(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """QuestDB in a cache in which nothing was learnt yet."""
    fetched = await provide_questdb(tmp / "spare")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp / "cache"))
    cache = tmp / "cache" / "feefifod"
    cache.mkdir(parents=True)
    return Path(shutil.copy(fetched, cache))


async def start(state: Path) -> list[str]:
    """Start QuestDB on a state, and return its command line."""
    async with use_servers(_ANY_PORTS, state, postgres=False):
        record = QuestDB(state).running()
        assert record is not None
        return psutil.Process(record.pid).cmdline()


async def test_learnt_once_then_used_until_damaged(tmp: Path, jar: Path) -> None:
    killed = jar.parent / "learn-killed"
    killed.mkdir()

    first = await start(tmp / "state")
    learnt = find_learnt(jar)
    assert learnt is not None
    assert f"-XX:AOTCache={learnt}" in first
    made = learnt.stat()
    assert await start(tmp / "state") == first
    assert learnt.stat() == made
    assert sorted(path.name for path in jar.parent.glob("learn*")) == ["learn.lock"]

    learnt.write_bytes(learnt.read_bytes()[:-1])
    assert find_learnt(jar) is None
    assert not learnt.exists()


async def test_what_cannot_be_learnt_is_done_without(tmp: Path, jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_LEARN_SECONDS", 0.3)

    with capture_logs() as logs:
        line = await start(tmp / "state")

    assert not any("AOT" in part for part in line)
    assert "it took too long" in [entry.get("error") for entry in logs]
    assert sorted(path.name for path in jar.parent.iterdir()) == ["learn.lock", jar.name]
