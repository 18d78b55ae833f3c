"""`explain --offline`, and what is said of a file by its name, place and condition, without any server."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feefifod import log
from feefifod.cli.main import run_command_line

FIELDS = {"path", "kind", "pair", "base", "ticker", "quote", "interval_minutes", "tier", "state", "reason"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, in which commands are called."""
    for name in [name for name in os.environ if name.startswith("FEEFIFOD")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("watch = { settle_seconds = 0.05, truncated_seconds = 3600 }\n")
    (tmp_path / "data").mkdir()
    yield tmp_path
    log.configure("warning", stream=sys.__stderr__)


def explain(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run_command_line(["explain", "--json", *arguments]) == 0
    document: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return document


def test_a_name_is_split_and_named_in_common_codes(capsys: pytest.CaptureFixture[str]) -> None:
    [found] = explain(capsys, "--offline", "ETHXBT_1440.csv")

    assert found.keys() == FIELDS
    del found["reason"]
    assert found == {
        "path": "ETHXBT_1440.csv",
        "kind": "ohlcvt",
        "pair": "ETHXBT",
        "base": "ETH",
        "ticker": "ETH",
        "quote": "BTC",
        "interval_minutes": 1440,
        "tier": "TIER1",
        "state": None,
    }


@pytest.mark.parametrize(
    ("name", "kind", "base", "ticker", "quote", "tier"),
    [
        ("XBTUSD_60.csv", "ohlcvt", "XBT", "BTC", "USD", "TIER1"),
        ("XDGEUR_5.csv", "ohlcvt", "XDG", "DOGE", "EUR", "TIER1"),
        ("UNIUSD_5.csv", "ohlcvt", "UNI", "UNI", "USD", "TIER2"),
        ("EURUSD_5.csv", "ohlcvt", "EUR", "EUR", "USD", "TIER4"),
        ("Kraken_OHLCVT.zip", "zip", None, None, None, None),
        ("XBTUSD.csv", "ignored", None, None, None, None),
        ("XBTUSD_Daily_OHLC.csv", "ignored", None, None, None, None),
        ("XBTUSD_60.csv.part", "ignored", None, None, None, None),
        ("__MACOSX/XBTUSD_60.csv", "ignored", None, None, None, None),
        ("XBTUSD_7.csv", "invalid", None, None, None, None),
        ("WHATEVER_60.csv", "invalid", None, None, None, None),
        ("", "ignored", None, None, None, None),
        ("a\nb_60.csv", "invalid", None, None, None, None),
        ("\udcff_60.csv", "invalid", None, None, None, None),
        ("x" * 5000 + "_60.csv", "invalid", None, None, None, None),
    ],
)
def test_each_name_gets_its_kind(
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: str,
    base: str | None,
    ticker: str | None,
    quote: str | None,
    tier: str | None,
) -> None:
    [found] = explain(capsys, "--offline", name)

    assert found["path"] == name
    assert (found["kind"], found["base"], found["ticker"]) == (kind, base, ticker)
    assert (found["quote"], found["tier"], found["state"]) == (quote, tier, None)
    assert found["reason"]


def test_paths_come_back_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["XBTUSD_60.csv", "notes.txt", "ETHUSD_1.csv", "XBTUSD_60.csv"]

    assert [found["path"] for found in explain(capsys, "--offline", *names)] == names


def test_offline_does_not_look_at_the_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    missing = explain(capsys, "--offline", "data/XBTUSD_60.csv")
    (folder / "data" / "XBTUSD_60.csv").write_text("not a candle")

    assert explain(capsys, "--offline", "data/XBTUSD_60.csv") == missing
    assert not (folder / ".feefifod").exists()


@pytest.mark.parametrize("path", ["/tmp/.cache/XBTUSD_60.csv", "../.hidden/XBTUSD_60.csv", "./XBTUSD_60.csv"])
def test_folders_outside_of_the_data_folder_do_not_count(capsys: pytest.CaptureFixture[str], path: str) -> None:
    [found] = explain(capsys, "--offline", path)

    assert found["kind"] == "ohlcvt"


def test_filters_and_overridden_tiers_are_named(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "config.toml").write_text(
        'watch = { tiers = ["TIER1"], intervals = [60] }\ntiers = { TIER1 = ["ZZZ"] }\n'
    )

    zzz, btc, daily = explain(capsys, "--offline", "ZZZUSD_60.csv", "XBTUSD_60.csv", "ZZZUSD_1440.csv")

    assert zzz["tier"] == "TIER1"
    assert zzz["reason"].startswith("would be picked up")
    assert "[watch] tiers" in btc["reason"]
    assert "[watch] intervals" in daily["reason"]


def test_people_read_the_answer_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["explain", "--offline", "XBTUSD_60.csv", "a\x1b[31m.csv"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "XBTUSD_60.csv: would be picked up"
    assert "BTC in USD" in lines[1]
    assert re.match(r"a\\x1b\[31m\.csv: would not be picked up", lines[2])


def test_no_path_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["explain"]) == 2


def test_a_complete_file_will_be_picked_up(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    file = folder / "data" / "sub" / "XBTUSD_60.csv"
    file.parent.mkdir()
    file.write_text("1499997600,1,1,1,1,1,1\n")
    wait_until_quiet(file)

    as_given, below = explain(capsys, str(file), "sub/XBTUSD_60.csv")

    assert as_given["state"] == below["state"] == "waiting"
    assert as_given["reason"] == below["reason"]
    assert as_given["reason"].startswith("will be picked up")
    assert "no daemon is running" in as_given["reason"]


def test_that_no_server_runs_is_said_beside_the_document(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    capsys.readouterr()
    assert run_command_line(["explain", "--json", "XBTUSD_60.csv"]) == 0

    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert "no server is running" in captured.err
    assert not (folder / ".feefifod").exists()


def test_an_unfinished_file_is_not_picked_up_yet(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    file = folder / "data" / "XBTUSD_60.csv"
    file.write_text("1499997600,1,1,1,1,1,1")
    wait_until_quiet(file)

    [found] = explain(capsys, "data/XBTUSD_60.csv")

    assert found["reason"].startswith("is not picked up yet")
    assert "not terminated" in found["reason"]
    assert found["state"] == "waiting"


@pytest.mark.parametrize(
    ("name", "answer", "why"),
    [
        ("XBTUSD_7.csv", "will be refused", "interval"),
        ("notes.txt", "is not picked up", "PAIR_MINUTES"),
        (".XBTUSD_60.csv", "is not picked up", "hidden"),
    ],
)
def test_other_names_in_the_data_folder(
    capsys: pytest.CaptureFixture[str], folder: Path, name: str, answer: str, why: str
) -> None:
    file = folder / "data" / name
    file.write_text("1\n")
    wait_until_quiet(file)

    [found] = explain(capsys, f"data/{name}")

    assert found["reason"].startswith(f"{answer}:")
    assert why in found["reason"]


def test_what_is_no_file_is_named(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    target = folder / "target.csv"
    target.write_text("1499997600,1,1,1,1,1,1\n")
    (folder / "data" / "XBTUSD_60.csv").symlink_to(target)
    (folder / "data" / "XBTUSD_1.csv").mkdir()
    os.mkfifo(folder / "data" / "XBTUSD_5.csv")

    link, directory, pipe = explain(capsys, "XBTUSD_60.csv", "XBTUSD_1.csv", "XBTUSD_5.csv")

    assert "symbolic link" in link["reason"]
    assert "folder" in directory["reason"]
    assert "pipe" in pipe["reason"]
    assert {found["state"] for found in (link, directory, pipe)} == {None}


def test_files_elsewhere_and_nowhere(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "XBTUSD_60.csv").write_text("1499997600,1,1,1,1,1,1\n")

    elsewhere, nowhere = explain(capsys, "XBTUSD_60.csv", "ETHUSD_60.csv")

    assert "outside of the data folder" in elsewhere["reason"]
    assert nowhere["reason"].startswith("is not there")
    assert nowhere["ticker"] == "ETH"
    assert (elsewhere["state"], nowhere["state"]) == (None, None)


def test_a_refused_file_keeps_its_reason_wherever_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    rejected = folder / "rejected"
    rejected.mkdir()
    (rejected / "XBTUSD_60.csv").write_text("bad\n")
    (rejected / "XBTUSD_60.csv.reason.json").write_text('{"reason": "no good row in it"}')
    (rejected / "ETHUSD_60.csv").write_text("bad\n")
    (rejected / "ETHUSD_60.csv.reason.json").write_text("broken")

    there, dropped, without = explain(capsys, "rejected/XBTUSD_60.csv", "XBTUSD_60.csv", "rejected/ETHUSD_60.csv")

    assert (there["state"], without["state"]) == ("rejected", "rejected")
    for found in (there, dropped):
        assert "no good row in it" in found["reason"]


def test_a_data_folder_behind_a_link_is_the_data_folder(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "data").rmdir()
    (folder / "data").symlink_to(folder / "real")
    file = folder / "real" / "XBTUSD_60.csv"
    file.write_text("1499997600,1,1,1,1,1,1\n")
    wait_until_quiet(file)

    for path in ("data/XBTUSD_60.csv", "real/XBTUSD_60.csv", "XBTUSD_60.csv"):
        [found] = explain(capsys, path)
        assert found["reason"].startswith("will be picked up"), path


def wait_until_quiet(file: Path) -> None:
    """Let the settle time of the configuration pass, on the clock that the file system uses."""
    while time.time() - file.stat().st_ctime < 0.06:
        time.sleep(0.01)
