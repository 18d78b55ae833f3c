"""The bulk lane's folder: proven, not assumed, and left clean."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest

from feefifod.birth import birth
from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Unavailable
from feefifod.servers import Endpoints
from feefifod.sink import BulkLane, QuestDBClient
from feefifod.sink.bulk import _host
from tests.integration.sink.conftest import Troubles, make_frame


async def test_a_folder_that_the_server_sees_is_proven(client: QuestDBClient, pair: Endpoints) -> None:
    lane = BulkLane(client, "prices", pair.import_dir)

    assert await lane.probe() is None
    assert list(pair.import_dir.glob(f"feefifod-*-{os.getpid()}-*")) == []


async def test_a_folder_that_the_server_does_not_see_is_told_with_the_reason(
    client: QuestDBClient, tmp_path: Path
) -> None:
    reason = await BulkLane(client, "prices", tmp_path).probe()

    assert reason is not None
    assert "does not see" in reason
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_not_there_is_told_with_the_reason(client: QuestDBClient, tmp_path: Path) -> None:
    reason = await BulkLane(client, "prices", tmp_path / "nowhere").probe()

    assert reason is not None
    assert "nowhere" in reason


async def test_a_server_that_is_away_is_told_with_the_reason(tmp_path: Path) -> None:
    client = QuestDBClient(QuestDBSettings(), "http://127.0.0.1:1")

    reason = await BulkLane(client, "prices", tmp_path).probe()

    assert reason is not None
    assert "refuses connections" in reason
    assert list(tmp_path.iterdir()) == []


async def test_only_leftovers_of_dead_runs_are_removed(
    client: QuestDBClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    born = birth(dead.pid)
    dead.communicate(b"\n")
    mine = birth(os.getpid())
    # A wall clock that is set meanwhile makes nobody dead.
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + 3_600)
    kept = {
        f"feefifod-{_host()}-{os.getpid()}-{mine}-1.parquet",
        "feefifod-0123456789ab-7-8-9.parquet",  # Another host's, and fresh.
        "prices.parquet",
    }
    for name in kept | {
        f"feefifod-{_host()}-{dead.pid}-{born}-1.parquet",
        f"feefifod-{_host()}-{os.getpid()}-{(mine or 0) - 50}-1.parquet",  # An earlier process with our pid.
        "feefifod-0123456789ab-7-8-10.parquet",
    }:
        (tmp_path / name).touch()
    os.utime(tmp_path / "feefifod-0123456789ab-7-8-10.parquet", (0, 0))

    removed = await BulkLane(client, "prices", tmp_path).clean()

    assert removed == 3
    assert {path.name for path in tmp_path.iterdir()} == kept


async def test_cleaning_a_folder_that_is_not_there_is_unavailable(client: QuestDBClient, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await BulkLane(client, "prices", tmp_path / "nowhere").clean()


async def test_a_folder_that_cannot_be_written_is_trouble_to_be_repeated(
    client: QuestDBClient, tmp_path: Path, troubles: Troubles
) -> None:
    lane = BulkLane(client, "prices", tmp_path / "nowhere", on_trouble=troubles.add)

    with anyio.move_on_after(1) as scope:
        await lane.send(make_frame(10))

    assert scope.cancelled_caught
    assert len(troubles) > 1
    assert "nowhere" in str(troubles[0])
