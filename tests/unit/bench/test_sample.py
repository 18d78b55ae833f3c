"""The sample that new users drop in: small, and perfect from end to end."""

from __future__ import annotations

from pathlib import Path, PurePath

from feefifod.parse.columns import count_odd, is_strictly_increasing, parse_fast, times_are_regular
from feefifod.parse.names import Kind, judge

SAMPLE = Path(__file__).resolve().parents[3] / "docs" / "sample"
FILES = sorted(SAMPLE.glob("*.csv"))


def test_the_sample_is_small_and_has_several_pairs_and_intervals() -> None:
    names = {path.name for path in FILES}

    assert names == {"XBTUSD_60.csv", "ETHEUR_60.csv", "ADAUSD_15.csv"}
    assert sum(path.stat().st_size for path in FILES) <= 200_000


def test_the_sample_parses_whole() -> None:
    for path in FILES:
        data = path.read_bytes()
        verdict = judge(PurePath(path.name))
        candles = parse_fast(data, 7)

        assert verdict.kind is Kind.OHLCVT
        assert candles is not None
        assert len(candles) == data.count(b"\n") > 500
        assert is_strictly_increasing(candles.time_seconds)
        assert times_are_regular(candles.time_seconds, verdict.interval_minutes or 0, 1_700_000_000, 1_767_225_599)
        assert count_odd(candles) == 0
