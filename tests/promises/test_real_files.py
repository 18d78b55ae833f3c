"""Kraken's own files, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon import World

_REAL = Path(__file__).resolve().parents[2].parent / "shared" / "kraken" / "ohlcvt"


@pytest.mark.skipif(not _REAL.is_dir(), reason="Kraken's own files are not on this machine")
def test_real_files_are_identical_in_the_table(world: World) -> None:
    world.configure(databases={"questdb": {**world.questdb, "partition_by": "YEAR"}})
    for path in sorted(_REAL.glob("*.csv")):
        world.drop(path.name, path.read_bytes())
    daemon = world.start()
    world.wait_finished(2)
    daemon.stop()
    lines = sum(drop.content.count(b"\n") for drop in world.dropped)
    assert len(world.check().table) == lines
    assert world.states() == {"done": 2}
