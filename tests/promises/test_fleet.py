"""Several daemons on one folder and one PostgreSQL, some frozen or killed: nothing is lost, doubled or mixed."""

from __future__ import annotations

import itertools
import random
import signal
import time

import pytest

from tests.support import samples
from tests.support.daemon import Process, World, wait_until
from tests.support.fault_proxy import FaultProxy

_INTERVALS = (1, 5, 15, 30, 60, 240, 720, 1440)


def _start(world: World, number: int) -> Process:
    """Start a daemon with a state of its own, as on another machine."""
    return world.start("run", FEEFIFOD__PATHS__STATE=str(world.root / f"state-{number}"))


def _end_leases(world: World) -> None:
    """Let the time pass that a lease lasts."""
    world.ask("UPDATE file SET lease_until = now() - interval '1 second' WHERE lease_until > now()")


def test_frozen_past_its_lease_it_wakes_up_and_changes_nothing(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")):
        world.drop(name, samples.file(20_000, seed=seed))
    frozen = _start(world, 1)
    frozen.wait_for("window_sent", count=5)
    frozen.signal(signal.SIGSTOP)
    _end_leases(world)
    other = _start(world, 2)
    world.wait_finished(3)
    before = world.check()

    frozen.signal(signal.SIGCONT)
    frozen.wait_for("lease_lost")
    time.sleep(1)
    after = world.check()
    assert after.table == before.table
    assert after.ledger == before.ledger
    frozen.stop()
    other.stop()
    assert len(world.check().table) == 60_000


@pytest.mark.parametrize("stopped", [False, True])
def test_request_that_comes_too_late_over_newer_rows_is_made_good(
    world: World, questdb_proxy: FaultProxy, *, stopped: bool
) -> None:
    """It was on its way when its process was frozen, and the series has got better candles since.

    A process that is `stopped` before it can check leaves that to the next one.
    """
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    world.drop("XBTUSD_1.csv", samples.file(20_000, trades=1))
    frozen = _start(world, 1)
    frozen.wait_for("window_sent", count=3)
    questdb_proxy.mode = "hold"
    time.sleep(0.5)
    frozen.signal(signal.SIGSTOP)
    _end_leases(world)
    world.configure(databases={"questdb": {**world.questdb, "url": world.questdb_url}})
    other = _start(world, 2)
    world.wait_finished(1)
    world.drop("again/XBTUSD_1.csv", samples.file(20_000, seed=2, trades=2))
    world.wait_finished(2)
    world.check()

    questdb_proxy.mode = "pass"
    frozen.signal(signal.SIGCONT)
    frozen.wait_for("lease_lost")
    checking, cause = frozen, "lease"
    if stopped:
        frozen.stop()
        checking, cause = _start(world, 3), "restart"
    [check] = wait_until(
        lambda: [event for event in checking.events("repair_checked") if event["cause"] == cause], what="the check"
    )
    assert check["rows_repaired"] > 0, "the request was not late enough to show anything"
    world.check()
    checking.stop()
    other.stop()


def test_three_daemons_of_which_some_are_killed_or_frozen(world: World) -> None:
    _disturb(world, files=60, accidents=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 5))
def test_three_daemons_of_which_many_are_killed_or_frozen(world: World, seed: int) -> None:
    _disturb(world, files=140, accidents=25, seed=seed)


def _disturb(world: World, *, files: int, accidents: int, seed: int) -> None:
    """Drop files of series that several of them share, while one daemon after the other has an accident."""
    chance = random.Random(seed)
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    pairs = [pair for pair in samples.PAIRS if pair not in {"BTCUSD", "DOGEUSD"}]
    names = list(itertools.islice((f"{pair}_{interval}.csv" for pair in pairs for interval in _INTERVALS), files // 2))
    drops = [(f"{place}/{name}", number) for place in ("first", "second") for number, name in enumerate(names)]
    chance.shuffle(drops)
    daemons = [_start(world, number) for number in range(3)]
    daemons[0].wait_for("watching")
    frozen: list[Process] = []
    for accident in range(accidents):
        for name, number in drops[accident::accidents]:
            interval = int(name.removesuffix(".csv").rpartition("_")[2])
            # Both files of a series have the same times; of each candle, the one with more trades must win.
            content = samples.file(1_500, interval=interval, seed=len(name) + number, trades=name.startswith("f") + 1)
            world.drop(name, content)
        time.sleep(chance.uniform(0.1, 1.0))
        number = chance.randrange(3)
        if chance.random() < 0.5:
            daemons[number].kill()
        else:
            daemons[number].signal(signal.SIGSTOP)
            frozen.append(daemons[number])
            _end_leases(world)
        # In the place of a frozen one comes another, as a supervisor would have it.
        daemons[number] = _start(world, 3 + accident)
        if len(frozen) > 1:
            frozen.pop(0).signal(signal.SIGCONT)
    for process in frozen:
        process.signal(signal.SIGCONT)
    world.wait_finished(len(drops), seconds=180)
    for process in world.processes:
        if process.alive:
            process.stop()
    # Who woke up late may have been stopped before it could put back what it had overwritten.
    last = _start(world, 3 + accidents)
    wait_until(lambda: not world.ask("SELECT 1 FROM mark WHERE started_us = 0"), what="the end of all doubts")
    last.stop()
    facts = world.check()
    assert len(facts.table) == len(names) * 1_500, f"seed {seed}"
    assert world.states() == {"done": len(drops)}
