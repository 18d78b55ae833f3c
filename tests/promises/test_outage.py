"""A server dies in the middle of a batch, or the line to it does: it is waited for, and nothing is lost or doubled."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from feefifod.servers import Endpoints
from tests.support import samples
from tests.support.daemon import World, describe
from tests.support.embedded import run_pair, servers_below, unique_name
from tests.support.fault_proxy import FaultProxy, Mode

_NAMES = ("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")


@pytest.fixture(scope="module")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def own_pair(own_state: Path) -> Iterator[Endpoints]:
    """A pair whose servers may be killed."""
    with run_pair(own_state) as endpoints:
        yield endpoints


@pytest.fixture
def own_world(own_pair: Endpoints, own_state: Path, tmp_path: Path) -> Iterator[World]:
    """A world that uses that pair as its embedded one, and so supervises it."""
    sections = describe(questdb={"table": unique_name("prices")}, postgres_url="embedded")
    sections["paths"] = {"state": str(own_state / "state")}
    world = World(tmp_path / "feefifod", sections, questdb_url=own_pair.questdb_url, postgres_dsn=own_pair.postgres_dsn)
    yield world
    world.close()


def _drop_long_batch(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(_NAMES):
        world.drop(name, samples.file(10_000, seed=seed))


def _kill(state: Path, name: str) -> None:
    servers = [process for process in servers_below(state) if process.name() == name]
    assert servers
    for process in servers:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(servers, timeout=10)


@pytest.mark.xdist_group("own pair")
def test_questdb_killed_in_mid_batch(own_world: World, own_state: Path) -> None:
    _drop_long_batch(own_world)
    daemon = own_world.start()
    daemon.wait_for("window_sent", count=5)
    _kill(own_state, "java")
    own_world.wait_finished(3, seconds=120)
    daemon.stop()
    own_world.check()


@pytest.mark.xdist_group("own pair")
def test_postgres_killed_in_mid_batch(own_world: World, own_state: Path) -> None:
    own_world.ask("DELETE FROM file")
    _drop_long_batch(own_world)
    daemon = own_world.start()
    daemon.wait_for("window_sent", count=5)
    _kill(own_state, "postgres")
    daemon.wait_for("server died, restarting it")
    own_world.wait_finished(3, seconds=120)
    daemon.stop()
    own_world.check()


@pytest.mark.parametrize("mode", ["cut", "swallow", "truncate", "hang"])
def test_line_to_questdb_fails_in_mid_batch(world: World, questdb_proxy: FaultProxy, mode: Mode) -> None:
    """An acknowledgement that got lost means that rows are sent twice, and stored once."""
    _drop_long_batch(world)
    questdb_proxy.most_faults = 4
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    questdb_proxy.mode = mode
    if mode == "hang":
        daemon.wait_for("waiting")
        questdb_proxy.mode = "pass"
    world.wait_finished(3)
    daemon.stop()
    assert questdb_proxy.faults
    assert daemon.events("waiting")
    world.check()


@pytest.mark.parametrize("mode", ["cut", "swallow", "truncate"])
def test_line_to_postgres_fails_in_mid_batch(world: World, postgres_proxy: FaultProxy, mode: Mode) -> None:
    _drop_long_batch(world)
    postgres_proxy.most_faults = 4
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    postgres_proxy.mode = mode
    world.wait_finished(3)
    daemon.stop()
    assert postgres_proxy.faults
    world.check()


def test_servers_away_at_the_start_are_waited_for(
    world: World, questdb_proxy: FaultProxy, postgres_proxy: FaultProxy
) -> None:
    questdb_proxy.mode = postgres_proxy.mode = "cut"
    world.drop("XBTUSD_60.csv", samples.file(100, interval=60))
    daemon = world.start()
    daemon.wait_for("waiting", count=2)
    postgres_proxy.mode = "pass"
    daemon.wait_for("waiting", count=3)
    questdb_proxy.mode = "pass"
    world.wait_finished(1)
    daemon.stop()
    world.check()
