"""Killed at any instant, again and again, in the middle of a load: nothing is lost, doubled or left to a person."""

from __future__ import annotations

import functools
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World
from tests.support.embedded import kill_servers, servers_below
from tests.support.forking import fork

SEED = 20_261_122
KILLS = 15
MANY_KILLS = 100
MANY_SERVER_KILLS = 10

_LONGEST_LIFE_SECONDS = 1.2
"""From its first word, or the beginning of its work, to its end; to load what is dropped at first takes longer."""
_LONGEST_WAIT_SECONDS = 10.0
_FILE_ROWS = 100_000
_MORE_ROWS = 40_000
_LANES = ("ilp", "bulk")


@functools.cache
def _large_file(seed: int) -> bytes:
    return samples.file(_FILE_ROWS, seed=seed)


@dataclass
class Loop:
    """Kills, and what they hit.

    Attributes:
        hits: kills of a process that had begun to load and was not done with it.
        progress: how far the work was after each kill: files that are decided, and the newest batch's checkpoint.
    """

    world: World
    chance: random.Random
    hits: int = 0
    progress: list[tuple[int, int]] = field(default_factory=list)

    def prepare(self, lane: str) -> None:
        """Drop 300,000 rows, and something of every other kind."""
        self.world.configure(pipeline={"lane": lane, "window_rows": 2_000})
        for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")):
            self.world.drop(name, _large_file(seed))
        lines = samples.rows(3_000, interval=60, seed=5)
        self.chance.shuffle(lines)
        self.world.drop("LTCUSD_60.csv", samples.text([*lines, "1700006400,bad,1,1,1,1,1"]))
        self.world.drop("again/LTCUSD_60.csv", samples.text([*lines, "1700006400,bad,1,1,1,1,1"]))
        self.world.drop("XRPUSD_60.csv", b"not,a,good,row,at,all,x\n")
        self.world.drop("UNIUSD_60.csv", b"\n")

    def kill_feefifod(self) -> None:
        """Start the daemon, and kill it at a random instant: of its life, or of its work."""
        daemon = fork(self.world, "run")
        event = self.chance.choice(("starting", "batch_started", "batch_started"))
        # There may be nothing left that begins a batch, only files to be moved.
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while not daemon.events(event) and time.monotonic() < deadline:
            assert daemon.alive, daemon.text[-3000:]
            time.sleep(0.02)
        time.sleep(self.chance.uniform(0, _LONGEST_LIFE_SECONDS))
        daemon.kill()
        finished, decided, checkpoint = self._look()
        self.hits += bool(finished < len(self.world.dropped) and daemon.events("batch_started"))
        self.progress.append((decided, checkpoint))
        if finished == len(self.world.dropped):
            seed = len(self.world.dropped)
            self.world.drop(f"{seed}/ADAUSD_1.csv", samples.file(_MORE_ROWS, seed=seed, trades=seed))

    def kill_questdb(self, state: Path) -> None:
        """Kill the server under a load; sometimes nobody is left to see it."""
        daemon = fork(self.world, "run")
        daemon.wait_for("starting")
        time.sleep(self.chance.uniform(0, _LONGEST_LIFE_SECONDS))
        if not any(process.name() == "java" for process in servers_below(state)):
            daemon.wait_for("server started")
        kill_servers(state, "java")
        if self.chance.random() < 0.5:
            daemon.wait_for("watching")
        daemon.kill()

    def _look(self) -> tuple[int, int, int]:
        """Count the files that are finished and those that are decided, and see how far the newest batch is."""
        states = self.world.states()
        moving, open_ = states.get("moving", 0), states.get("loading", 0) + states.get("waiting", 0)
        newest = "SELECT id, coalesce(checkpoint_seconds, 0) AS at FROM batch ORDER BY id DESC LIMIT 1"
        (batch,) = (self.world.ask(newest) if states else []) or [{"id": 0, "at": 0}]
        finished = sum(states.values()) - moving - open_
        return finished, finished + moving, batch["id"] * 10**10 + batch["at"]

    def finish(self) -> None:
        """Let it come to its end without a kill, and look at everything."""
        daemon = self.world.start()
        self.world.wait_finished(len(self.world.dropped), seconds=120)
        daemon.stop()
        assert self.world.ask("SELECT count(*) AS n FROM file")[0]["n"] == len(self.world.dropped)
        self.world.check()
        kills = len(self.progress)
        assert 3 * self.hits >= kills, f"only {self.hits} of {kills} kills hit the load: {self.progress}"
        assert self.progress == sorted(self.progress), "what was acknowledged was begun again"
        assert len(set(self.progress)) > kills // 3, f"little progress: {self.progress}"
        scratch = [path for path in self.world.scratch.rglob("*") if path.is_file()]
        assert not scratch, "nobody removes what a killed process left in scratch space"


def _seeded(test: str, lane: str) -> tuple[random.Random, str]:
    seed = f"{SEED}/{test}/{lane}"
    return random.Random(seed), f"the seed is {seed!r}"


@pytest.mark.parametrize("lane", _LANES)
def test_killed_at_random_instants(world: World, lane: str) -> None:
    chance, told = _seeded("few", lane)
    loop = Loop(world, chance)
    loop.prepare(lane)
    try:
        for _ in range(KILLS):
            loop.kill_feefifod()
        loop.finish()
    except AssertionError as error:
        error.add_note(told)
        raise


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.xdist_group("own pair")
@pytest.mark.parametrize("lane", _LANES)
def test_killed_many_times_and_questdb_too(own_world: World, own_state: Path, lane: str) -> None:
    chance, told = _seeded("many", lane)
    own_world.forget()
    loop = Loop(own_world, chance)
    loop.prepare(lane)
    deaths = ["feefifod"] * MANY_KILLS + ["questdb"] * MANY_SERVER_KILLS
    chance.shuffle(deaths)
    try:
        for death in deaths:
            if death == "questdb":
                loop.kill_questdb(own_state)
            else:
                loop.kill_feefifod()
        loop.finish()
    except AssertionError as error:
        error.add_note(told)
        raise
