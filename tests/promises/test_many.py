"""Many files, many processes, and a long sweep that nobody has to wait for."""

from __future__ import annotations

import itertools

from tests.support import samples
from tests.support.daemon import World


def test_three_hundred_files_are_one_batch(world: World) -> None:
    world.start().wait_for("watching")
    daemon = world.processes[0]
    names = list(itertools.islice(_names(), 300))
    for seed, name in enumerate(names):
        world.drop(name, samples.file(12, interval=_interval(name), seed=seed))
    world.wait_finished(300)
    daemon.stop()
    assert len(world.check().table) == 300 * 12
    sizes = [event["files"] for event in daemon.events("batch_started")]
    # Writing three hundred files takes a moment, in which the first ones may settle.
    assert max(sizes) >= 250
    assert len(sizes) <= 3


def test_three_hundred_files_that_wait_are_one_batch(world: World) -> None:
    for seed, name in enumerate(itertools.islice(_names(), 300)):
        world.drop(name, samples.file(12, interval=_interval(name), seed=seed))
    world.run("run-once")
    assert len(world.check().table) == 300 * 12
    assert [event["files"] for event in world.processes[0].events("batch_started")] == [300]


def test_several_processes_on_one_folder(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(itertools.islice(_names(), 40)):
        world.drop(name, samples.file(500, interval=_interval(name), seed=seed))
        world.drop(f"more/{name}", samples.file(500, interval=_interval(name), seed=seed + 100, trades=seed + 1))
    daemon = world.start()
    shots = [world.start("run-once"), world.start("run-once")]
    world.wait_finished(80)
    for shot in shots:
        # 1 says that files were left to another process.
        assert shot.wait() in {0, 1}, shot.text
    daemon.stop()
    assert len(world.check().table) == 40 * 500
    assert world.states() == {"done": 80}


def test_new_file_during_a_long_sweep_is_loaded_beside_it(world: World) -> None:
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLUSD_1.csv", "ADAUSD_1.csv")):
        world.drop(name, samples.file(40_000, seed=seed))
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    world.drop("XBTEUR_60.csv", samples.file(100, interval=60))
    world.drop("again/XBTUSD_1.csv", samples.file(100, start=samples.START + 60 * 40_000))
    done = daemon.wait_for("file_done")
    assert [event["file"] for event in done] == ["XBTEUR_60.csv"], "it did not have to wait for the sweep"
    world.wait_finished(6)
    daemon.stop()
    assert len(world.check().table) == 160_200


def _names() -> itertools.chain[str]:
    intervals = (1, 5, 15, 30, 60, 240, 720, 1440)
    pairs = [pair for pair in samples.PAIRS if pair not in {"BTCUSD", "DOGEUSD"}]
    return itertools.chain(f"{pair}_{interval}.csv" for pair, interval in itertools.product(pairs, intervals))


def _interval(name: str) -> int:
    return int(name.removesuffix(".csv").rpartition("_")[2])
