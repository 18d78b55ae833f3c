"""Names that we give to files are read back: what lies in our folders can be dropped again."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from feefifod.parse.names import Kind, judge, split_stamp, strip_stamp, strip_wrapping

STAMP = ".20261125T170326.583384Z"


@pytest.mark.parametrize(
    ("name", "wrapping", "inside"),
    [
        (f"XBTUSD_60{STAMP}.csv", "", f"XBTUSD_60{STAMP}.csv"),
        (f"XBTUSD_60{STAMP}-12.csv", "", f"XBTUSD_60{STAMP}-12.csv"),
        (f"XBTUSD_60{STAMP}{STAMP}.csv", "", f"XBTUSD_60{STAMP}{STAMP}.csv"),
        ("XBTUSD_60.csv.zst", ".zst", "XBTUSD_60.csv"),
        (f"XBTUSD_60{STAMP}.csv.zst", ".zst", f"XBTUSD_60{STAMP}.csv"),
        ("XBTUSD_60.csv.rows.csv", ".rows.csv", "XBTUSD_60.csv"),
        (f"XBTUSD_60{STAMP}.csv.rows.csv", ".rows.csv", f"XBTUSD_60{STAMP}.csv"),
        # The rows of a compressed file, and of a list of rows, are candles as they are.
        ("XBTUSD_60.csv.zst.rows.csv", ".rows.csv", "XBTUSD_60.csv"),
        ("XBTUSD_60.csv.rows.csv.rows.csv", ".rows.csv", "XBTUSD_60.csv"),
        ("XBTUSD_60.csv.rows.csv.zst", ".rows.csv.zst", "XBTUSD_60.csv"),
    ],
)
def test_a_name_that_we_gave_is_the_series_again(name: str, wrapping: str, inside: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert (verdict.kind, verdict.interval_minutes, verdict.wrapping) == (Kind.OHLCVT, 60, wrapping)
    assert verdict.pair is not None
    assert verdict.pair.altname == "XBTUSD"
    assert strip_wrapping(name) == inside


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"Full{STAMP}.zip", Kind.ZIP),
        (f"Full{STAMP}.zip.part01", Kind.ZIP),
        ("XBTUSD_7.csv.zst", Kind.INVALID),
        (f"WHATEVER_60{STAMP}.csv", Kind.INVALID),
        # Nothing of these is ours.
        ("XBTUSD_60.csv.zst.zst", Kind.IGNORED),
        ("XBTUSD_60.zst", Kind.IGNORED),
        ("XBTUSD_60.csv.gz", Kind.IGNORED),
        ("rows.csv", Kind.IGNORED),
        (".XBTUSD_60.csv.zst.123.part", Kind.IGNORED),
    ],
)
def test_other_names_stay_what_they_are(name: str, kind: Kind) -> None:
    assert judge(PurePosixPath(name)).kind is kind


@pytest.mark.parametrize("name", ["XBTUSD_60.csv.reason.json", "Full.zip.part00.reason.json"])
def test_a_note_on_a_refused_file_says_what_it_is(name: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert verdict.kind is Kind.IGNORED
    assert name.removesuffix(".reason.json") in verdict.reason


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("XBTUSD_60.csv", ("XBTUSD_60", ".csv")),
        ("XBTUSD_60.csv.zst", ("XBTUSD_60", ".csv.zst")),
        (f"XBTUSD_60{STAMP}.csv.rows.csv", ("XBTUSD_60", ".csv.rows.csv")),
        (f"Full{STAMP}{STAMP}-3.zip.part07", ("Full", ".zip.part07")),
        ("a.csv_60.csv", ("a.csv_60", ".csv")),
        ("noting", ("noting", "")),
    ],
)
def test_a_time_is_put_before_the_ending_and_never_twice(name: str, parts: tuple[str, str]) -> None:
    assert split_stamp(name) == parts
    assert strip_stamp("".join((parts[0], STAMP, parts[1]))) == "".join(parts)


@pytest.mark.parametrize(
    "name",
    [
        *("XBTUSD_60.csv.aria2", "XBTUSD_60.csv.PART", "Unconfirmed 123456.crdownload", "XBTUSD_60.csv.!ut"),
        *("Full.zip.partial", "Full.zip.opdownload", "XBTUSD_60.csv.!qB", "XBTUSD_60.csv.bc!", "XBTUSD_60.csv.st"),
    ],
)
def test_names_of_downloaders_are_temporary(name: str) -> None:
    verdict = judge(PurePosixPath(name))

    assert verdict.kind is Kind.IGNORED
    assert "temporary" in verdict.reason


def test_what_lies_in_the_folder_of_a_running_download_is_left_alone() -> None:
    assert judge(PurePosixPath("XBTUSD_60.csv.download/XBTUSD_60.csv")).kind is Kind.IGNORED
    assert judge(PurePosixPath("my.download/XBTUSD_60.csv")).kind is Kind.OHLCVT
