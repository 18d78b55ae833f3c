"""A server dies in the middle of a batch, or the line to it does: it is waited for, and nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World
from tests.support.embedded import kill_servers
from tests.support.fault_proxy import FaultProxy, Mode

_NAMES = ("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")


def _drop_long_batch(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(_NAMES):
        world.drop(name, samples.file(10_000, seed=seed))


@pytest.mark.xdist_group("own pair")
def test_questdb_killed_in_mid_batch(own_world: World, own_state: Path) -> None:
    _drop_long_batch(own_world)
    daemon = own_world.start()
    daemon.wait_for("window_sent", count=5)
    kill_servers(own_state, "java")
    own_world.wait_finished(3, seconds=120)
    daemon.stop()
    own_world.check()


@pytest.mark.xdist_group("own pair")
def test_postgres_killed_in_mid_batch(own_world: World, own_state: Path) -> None:
    own_world.forget()
    _drop_long_batch(own_world)
    daemon = own_world.start()
    daemon.wait_for("window_sent", count=5)
    kill_servers(own_state, "postgres")
    daemon.wait_for("server_down")
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
