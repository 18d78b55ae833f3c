"""A file is judged by its name: taken, ignored with a reason, or invalid with a reason."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feefifod.model import INTERVALS
from feefifod.parse.names import Kind, judge


@pytest.mark.parametrize("minutes", INTERVALS)
def test_candles_of_every_interval_are_taken(minutes: int) -> None:
    verdict = judge(PurePosixPath(f"Kraken_OHLCVT_Q4_2024/XBTUSD_{minutes}.csv"))

    assert verdict.kind is Kind.OHLCVT
    assert verdict.pair is not None
    assert (verdict.pair.ticker, verdict.pair.quote) == ("BTC", "USD")
    assert verdict.interval_minutes == minutes
    assert verdict.reason


@pytest.mark.parametrize("name", ["ETH2.SETH_60.csv", "XXBTZUSD_60.csv", "AUSD_60.csv", "a b/ü/XBTUSD_60.csv"])
def test_unusual_names_of_candles_are_taken(name: str) -> None:
    assert judge(PurePosixPath(name)).kind is Kind.OHLCVT


@pytest.mark.parametrize(
    "name",
    [
        "Kraken_OHLCVT.zip",
        "Kraken_OHLCVT_Q1_2026.zip",
        "Kraken_OHLCVT_2026Q2.zip",
        "Kraken_OHLCVT_Full_2026Q2.zip.part00",
        "Kraken_OHLCVT (1).zip",
        "XBTUSD_60.csv.zip",
    ],
)
def test_zips_and_their_parts_are_taken(name: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert (verdict.kind, verdict.pair, verdict.interval_minutes) == (Kind.ZIP, None, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("XBTUSD.csv", "single trades"),
        ("BTCUSD_Daily_OHLC.csv", "another layout"),
        ("master_q4/XBTUSD_Hourly_OHLC.csv", "another layout"),
        ("MANIFEST.json", "release"),
        ("OHLCVT_Full_PARTS_SHA256SUMS.txt", "release"),
        ("__MACOSX/master_q4/XBTEUR_1.csv", "macOS"),
        ("__MACOSX/master_q4/._XBTEUR_1.csv", "macOS"),
        ("._XBTEUR_1.csv", "macOS"),
        (".XBTUSD_60.csv.x8Fd2a", "hidden file"),
        (".DS_Store", "hidden file"),
        (".cache/XBTUSD_60.csv", "hidden folder"),
        ("a/.b/c/XBTUSD_60.csv", "hidden folder"),
        ("XBTUSD_60.csv.part", "temporary"),
        ("XBTUSD_60.csv.tmp", "temporary"),
        ("XBTUSD_60.csv.filepart", "temporary"),
        ("Kraken_OHLCVT.zip.crdownload", "temporary"),
        ("Kraken_OHLCVT.zip.part", "temporary"),
        ("XBTUSD_60.csv~", "temporary"),
        ("XBTUSD_60.CSV", "lower case"),
        ("KRAKEN.ZIP", "lower case"),
        ("XBTUSD-60.csv", "expected PAIR_MINUTES.csv"),
        ("XBTUSD_60.csv.gz", "expected PAIR_MINUTES.csv"),
        ("notes.csv", "expected PAIR_MINUTES.csv"),
        ("_60.csv", "expected PAIR_MINUTES.csv"),
        ("Übersicht.pdf", "expected PAIR_MINUTES.csv"),
        ("", "expected PAIR_MINUTES.csv"),
    ],
)
def test_other_files_are_left_alone_with_the_reason(name: str, reason: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert (verdict.kind, verdict.pair, verdict.interval_minutes) == (Kind.IGNORED, None, None)
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("XBTUSD_7.csv", "1, 5, 15, 30, 60, 240, 720, 1440"),
        ("XBTUSD_10080.csv", "no interval of 10080 minutes"),
        ("XBTUSD_060.csv", "no interval of 060 minutes"),
        (f"XBTUSD_{'1' * 5000}.csv", "no interval of 111111111111... minutes"),
        ("XBTHUF_60.csv", "no known quote currency"),
        ("USD_60.csv", "nothing stands before"),
        ("xbtusd_60.csv", "did you mean XBTUSD?"),
        ("report_2024.csv", "upper case"),
        ("XBT\nUSD_60.csv", "printable ASCII"),
        ("XBTUSD_60.csv\n", "printable ASCII"),
        (" XBTUSD_60.csv", "blanks at an end"),
        ("\x1b[2JXBTUSD_60.csv", "printable ASCII"),
        ("XBTUSD\u202e_60.csv", "printable ASCII"),
        ("XBTUSD_\uff16\uff10.csv", "printable ASCII"),
        (os.fsdecode(b"\xff\xfe_1.csv"), "printable ASCII"),
        (os.fsdecode(b"\xff.zip"), "printable ASCII"),
        (os.fsdecode(b"\xff/XBTUSD_60.csv"), "folder is not valid UTF-8"),
        ("X" * 248 + "_60.csv", "more than 24 characters"),
    ],
)
def test_what_only_looks_like_candles_is_invalid_with_the_reason(name: str, reason: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert (verdict.kind, verdict.pair, verdict.interval_minutes) == (Kind.INVALID, None, None)
    assert reason in verdict.reason


@given(
    st.one_of(
        st.text(),
        st.binary().map(os.fsdecode),
        st.binary().map(lambda raw: os.fsdecode(raw + b"_60.csv")),
        st.from_regex(r"[A-Z.~_\s]{1,20}_\d{1,5}\.(csv|zip)(\.part\d*)?", fullmatch=True),
    )
)
def test_any_name_gets_a_verdict_with_a_printable_reason(name: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert verdict.reason.isascii()
    assert verdict.reason.isprintable()
    assert (verdict.kind is Kind.OHLCVT) == (verdict.pair is not None) == (verdict.interval_minutes is not None)
