"""`verify`: the table holds what was loaded, to the bit, and each difference is named."""

from __future__ import annotations

import pytest

from tests.integration.verify.conftest import Bench, places
from tests.support import samples

DAY = 86_400
OTHER_MONTH = samples.START + 30 * DAY  # December 2023; START lies in November.


def make_files() -> dict[str, bytes]:
    """Make three series, one over two months."""
    lines = samples.rows(300, interval=60, seed=1) + samples.rows(200, interval=60, start=OTHER_MONTH, seed=2)
    return {
        "XBTUSD_60.csv": samples.text(lines),
        "XBTEUR_1.csv": samples.file(500, seed=3),
        "sub/ADAUSD_1440.csv": samples.file(30, interval=1440, seed=4),
    }


def test_a_table_that_holds_what_was_loaded_passes(bench: Bench) -> None:
    bench.load(make_files())

    document = bench.verify(code=0)

    assert document["equal"] is True
    assert (document["series"], document["files"], document["rows"]) == (3, 3, 1030)
    assert document["differences"] == document["skipped"] == document["repaired"] == []
    outcome = bench.run("verify")
    assert outcome.code == 0
    assert "holds exactly what was loaded: 3 series, 3 files, 1,030 rows" in outcome.out
