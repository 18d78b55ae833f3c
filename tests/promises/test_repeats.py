"""Repeats are harmless: the same again, under another name, of another series, or into a new table."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Sequence

import pytest

from tests.support import samples
from tests.support.daemon import World


def test_second_run_finds_nothing_and_changes_nothing(world: World) -> None:
    world.drop("XBTUSD_60.csv", samples.file(500, interval=60))
    assert not world.ingest().failed
    before = world.check().table
    assert not world.ingest().results
    assert world.check().table == before


def test_same_file_again_is_a_duplicate(world: World) -> None:
    content = samples.file(500)
    world.drop("XBTUSD_1.csv", content)
    world.ingest()
    world.drop("XBTUSD_1.csv", content)
    summary = world.ingest()
    world.check()
    assert not summary.failed
    assert world.states() == {"done": 1, "duplicate": 1}
    # Nothing is overwritten: the second one has a time in its name.
    assert len(list(world.ingested.iterdir())) == 2


def test_same_content_under_another_name_of_the_series_is_a_duplicate(world: World) -> None:
    content = samples.file(300, interval=60)
    for name in ("XBTUSD_60.csv", "BTCUSD_60.csv", "deeper/still/XBTUSD_60.csv"):
        world.drop(name, content)
    summary = world.ingest()
    world.check()
    assert not summary.failed
    assert world.states() == {"done": 1, "duplicate": 2}
    assert sum(row["rows_accepted"] for row in world.facts().ledger) == 300


def test_same_content_of_another_series_is_loaded(world: World) -> None:
    content = samples.file(300, interval=60)
    for name in ("XBTUSD_60.csv", "ETHUSD_60.csv", "XBTEUR_60.csv", "XBTUSD_30.csv", "XBTUSD_1.csv"):
        world.drop(name, content)
    world.ingest()
    assert len(world.check().table) == 5 * 300
    assert world.states() == {"done": 5}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("together", [True, False])
def test_overlapping_files_in_any_order_give_the_same_table(world: World, order: Sequence[int], together: bool) -> None:
    """The candle with the larger trade count wins, in one batch as against what is stored."""
    files = (
        ("XBTUSD_60.csv", samples.file(400, interval=60, seed=1, trades=7)),
        ("BTCUSD_60.csv", samples.file(400, interval=60, seed=2, start=samples.START + 200 * 3600, trades=9)),
        ("again/XBTUSD_60.csv", samples.file(50, interval=60, seed=3, start=samples.START + 380 * 3600, trades=8)),
    )
    for place in order:
        world.drop(*files[place])
        if not together:
            world.ingest()
    world.ingest()
    assert len(world.check().table) == 600


def test_dropped_table_voids_the_ledger(world: World) -> None:
    content = samples.file(300, interval=60)
    world.drop("XBTUSD_60.csv", content)
    world.ingest()
    world.run("setup-questdb-schema", "--drop", "--yes")
    world.drop("XBTUSD_60.csv", content)
    world.ingest()
    world.check()
    assert world.states() == {"done": 2}


def test_table_dropped_in_mid_batch_beside_a_running_daemon(world: World) -> None:
    """What was acknowledged before is void: the batch begins anew, in the new table."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(("XBTUSD_1.csv", "ETHUSD_1.csv")):
        world.drop(name, samples.file(20_000, seed=seed))
    daemon = world.start()
    daemon.wait_for("window_sent", count=5)
    daemon.signal(signal.SIGSTOP)
    world.run("setup-questdb-schema", "--drop", "--yes")
    daemon.signal(signal.SIGCONT)
    world.wait_finished(2)
    daemon.stop()
    world.check()
    assert world.states() == {"done": 2}
