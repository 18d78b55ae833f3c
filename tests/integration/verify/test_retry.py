"""`rejects` lists what was refused; `retry` takes it in again."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest

from tests.integration.verify.conftest import Bench
from tests.support import samples
from tests.support.zips import pack

BAD = b"nonsense\nmore,nonsense\n"
GOOD = samples.rows(20, interval=60, seed=1)


def spoil(bench: Bench) -> None:
    """Have one file refused, one loaded without two rows, one refused for its name, and one that is fine."""
    for name, content in {
        "XBTUSD_60.csv": BAD,
        "ETHUSD_60.csv": samples.text([*GOOD[:5], "oops", *GOOD[5:19], GOOD[19].replace(",", ",x", 1)]),
        "XBTUSD_7.csv": samples.text(GOOD),
        "ADAUSD_60.csv": samples.text(GOOD),
    }.items():
        bench.world.drop(name, content)
    bench.world.ingest()


def test_refused_files_and_rows_are_listed(bench: Bench) -> None:
    assert bench.run("rejects", "--json").document == []
    spoil(bench)

    found = {reject["file"]: reject for reject in bench.run("rejects", "--json").document}

    rejected = bench.world.rejected
    assert found.keys() == {"XBTUSD_60.csv", "ETHUSD_60.csv", "XBTUSD_7.csv"}
    whole, partly = found["XBTUSD_60.csv"], found["ETHUSD_60.csv"]
    assert (whole["state"], whole["rows_rejected"], whole["path"]) == ("rejected", 2, str(rejected / "XBTUSD_60.csv"))
    assert whole["reason"].startswith("all its 2 rows are bad for one reason: 1 field instead of 7")
    assert whole["examples"][0] == {"line": "1", "reason": "1 field instead of 7", "text": "nonsense"}
    assert (partly["state"], partly["rows_rejected"]) == ("done", 2)
    assert partly["path"] == partly["rows"] == str(rejected / "ETHUSD_60.csv.rows.csv")
    assert [example["line"] for example in partly["examples"]] == ["6", "21"]
    assert all(reject["when"].startswith("20") for reject in found.values())
    people = bench.run("rejects").out
    assert "line 6: 1 field instead of 7: oops" in people
    assert "2 refused files, 1 file loaded without bad rows" in people


def test_a_reason_that_was_removed_is_known_to_the_ledger(bench: Bench) -> None:
    spoil(bench)
    (bench.world.rejected / "XBTUSD_60.csv.reason.json").unlink()
    (bench.world.rejected / "stranger.csv").write_bytes(b"x")

    found = {reject["file"]: reject for reject in bench.run("rejects", "--json").document}

    assert found["XBTUSD_60.csv"]["reason"].startswith("all its 2 rows are bad for one reason: 1 field instead of 7")
    assert "nothing is known" in found["stranger.csv"]["reason"]


def test_without_a_server_the_folder_alone_tells(bench: Bench) -> None:
    spoil(bench)
    bench.world.configure(postgres={"url": "postgresql://nobody@127.0.0.1:1/nothing"})

    outcome = bench.run("rejects", "--json")

    assert outcome.code == 0
    assert len(outcome.document) == 3
    assert "the ledger was not asked" in outcome.err


def test_a_corrected_file_is_taken_in_again(bench: Bench) -> None:
    spoil(bench)
    refused = bench.world.rejected / "XBTUSD_60.csv"
    refused.write_bytes(samples.text(GOOD))
    other = bench.world.drop("SOLUSD_60.csv", samples.text(GOOD))

    outcome = bench.run("retry", "rejected/XBTUSD_60.csv")

    assert outcome.code == 0, outcome
    assert f"{refused} is back: {bench.world.data / 'XBTUSD_60.csv'}" in outcome.out
    assert (bench.world.ingested / "XBTUSD_60.csv").read_bytes() == samples.text(GOOD)
    assert not list(bench.world.rejected.glob("XBTUSD_60.csv*"))
    assert other.exists()  # Nothing else is ingested by it.
    assert bench.verify(code=0)["rows"] == 19 + 20 + 20


def test_a_file_that_is_as_bad_as_before_is_refused_again_and_none_is_lost(bench: Bench) -> None:
    spoil(bench)

    outcome = bench.run("retry", "XBTUSD_60.csv", "rejected/XBTUSD_7.csv")

    assert outcome.code == 1
    assert "all its 2 rows are bad" in outcome.out
    assert (bench.world.rejected / "XBTUSD_60.csv").read_bytes() == BAD
    assert json.loads((bench.world.rejected / "XBTUSD_60.csv.reason.json").read_text())["rows_rejected"] == 2
    assert (bench.world.rejected / "XBTUSD_7.csv.reason.json").exists()
    assert not any(bench.world.data.iterdir())


def test_corrected_rows_are_taken_in_as_a_file_of_their_own(bench: Bench) -> None:
    spoil(bench)
    rows = bench.world.rejected / "ETHUSD_60.csv.rows.csv"
    text = rows.read_text().replace(",x", ",")
    text = text.replace("oops", f'"{samples.rows(1, interval=60, start=samples.START + 100 * 3600)[0]}"')
    rows.write_text(text)

    outcome = bench.run("retry", str(rows))

    assert outcome.code == 0, outcome
    assert not rows.exists()
    assert bench.verify("--intervals", "60", code=0)["rows"] == 19 + 2 + 20
    assert len(bench.stored()) == 41
    assert len(list(bench.world.ingested.glob("ETHUSD_60*.csv"))) == 2


def test_a_corrected_file_overwrites_whatever_the_trade_counts_say(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.text(samples.rows(20, interval=60, seed=1, trades=50))})
    archived = bench.world.ingested / "XBTUSD_60.csv"
    corrected = samples.rows(20, interval=60, seed=2, trades=3)
    before = bench.stored()
    archived.write_bytes(samples.text(corrected))
    assert bench.run("retry", "XBTUSD_60.csv").code == 0
    assert bench.stored() == before  # Fewer trades lose, unless they are forced:
    assert bench.run("retry", "--overwrite", "XBTUSD_60.csv").code == 0
    assert {row[8] for row in bench.stored()} == {3}
    assert bench.verify(code=0)["rows"] == 20
    # What comes in later has to beat what was forced, not what that one had replaced.
    bench.load({"sub/XBTUSD_60.csv": samples.text(samples.rows(10, interval=60, seed=3, trades=20))})

    assert sorted(row[8] for row in bench.stored()) == [3] * 10 + [20] * 10
    assert bench.verify(code=0)["rows"] == 30
    assert [path.name for path in bench.world.ingested.iterdir() if path == archived] == ["XBTUSD_60.csv"]


def test_loading_the_same_again_needs_overwrite(bench: Bench) -> None:
    bench.load({"XBTUSD_60.csv": samples.text(GOOD)})
    before = bench.stored()
    bench.tamper("UPDATE TABLE_NAME SET close = 1, trade_count = 100000")

    outcome = bench.run("retry", "ingested/ohlcv/XBTUSD_60.csv")

    assert outcome.code == 1
    assert "--overwrite" in outcome.err
    assert (bench.world.ingested / "XBTUSD_60.csv").exists()
    assert bench.run("retry", "--overwrite", "ingested/ohlcv/XBTUSD_60.csv").code == 0
    assert bench.stored() == before
    assert bench.verify(code=0)["files"] == 1


def test_a_name_that_was_taken_is_its_own_again(bench: Bench) -> None:
    spoil(bench)
    bench.world.drop("XBTUSD_60.csv", BAD + b"third\n")
    bench.world.ingest()
    [second] = bench.world.rejected.glob("XBTUSD_60.*Z.csv")
    second.write_bytes(samples.text(GOOD))

    assert bench.run("retry", second.name).code == 0

    assert (bench.world.ingested / "XBTUSD_60.csv").exists()
    assert (bench.world.rejected / "XBTUSD_60.csv").read_bytes() == BAD


def test_a_pardoned_zip_goes_back(bench: Bench) -> None:
    bench.world.drop("Kraken.zip", pack({"readme.txt": b"no candles"}))
    bench.world.ingest()
    refused = bench.world.rejected / "Kraken.zip"
    with zipfile.ZipFile(refused, "w") as archive:
        archive.writestr("XBTUSD_60.csv", samples.text(GOOD))

    outcome = bench.run("retry", "rejected/Kraken.zip")

    assert outcome.code == 0, outcome
    assert len(bench.stored()) == 20
    assert (bench.world.root / "ingested" / "zips" / "Kraken.zip").exists()
    assert not list(bench.world.rejected.iterdir())


def test_a_file_is_left_to_a_running_daemon(bench: Bench) -> None:
    spoil(bench)
    refused = bench.world.rejected / "XBTUSD_60.csv"
    refused.write_bytes(samples.text(samples.rows(20, interval=60, seed=9, trades=2)))
    daemon = bench.world.start()
    daemon.wait_for("watching")

    outcome = bench.run("retry", "--overwrite", "XBTUSD_60.csv")

    assert outcome.code == 0
    assert f"daemon (pid {daemon.pid}) takes it" in outcome.out
    daemon.wait_for("file_done")
    daemon.stop()
    assert (bench.world.ingested / "XBTUSD_60.csv").exists()
    [row] = bench.world.ask("SELECT overwrite FROM file WHERE name = 'XBTUSD_60.csv' AND state = 'done'")
    assert row["overwrite"]


@pytest.mark.parametrize(
    ("given", "code", "hint"),
    [
        ("nowhere.csv", 2, "no such file"),
        ("rejected/XBTUSD_60.csv.reason.json", 2, "Name the file: rejected/XBTUSD_60.csv"),
        ("rejected/XBTUSD_60.csv.rows.csv", 2, "retry XBTUSD_60.csv itself"),
        ("config.toml", 2, "neither refused nor loaded"),
        ("rejected/link.csv", 1, "no regular file"),
        ("rejected/WAITING_60.csv", 1, "waits in the data folder already"),
    ],
)
def test_wrong_paths_change_nothing(bench: Bench, given: str, code: int, hint: str) -> None:
    root = bench.world.root
    rejected = root / "rejected"
    rejected.mkdir()
    for name in ("XBTUSD_60.csv", "XBTUSD_60.csv.reason.json", "XBTUSD_60.csv.rows.csv", "WAITING_60.csv"):
        (rejected / name).write_text("x")
    (rejected / "link.csv").symlink_to(root / "config.toml")
    (root / "data" / "WAITING_60.csv").write_text("y")

    outcome = bench.run("retry", "rejected/XBTUSD_60.csv", given)

    assert outcome.code == code
    assert hint in outcome.err
    assert {path.name for path in rejected.iterdir()} == {
        "XBTUSD_60.csv",
        "XBTUSD_60.csv.reason.json",
        "XBTUSD_60.csv.rows.csv",
        "WAITING_60.csv",
        "link.csv",
    }


def test_what_is_no_list_of_rows_stays_where_it_is(bench: Bench) -> None:
    rejected = bench.world.root / "rejected"
    rejected.mkdir()
    rows = rejected / "XBTUSD_60.csv.rows.csv"
    for content in ("", "line,reason,text\n", "a,b,c\n1,2,3\n", "line,reason,text\n1,2\n"):
        rows.write_text(content)
        assert bench.run("retry", rows.name).code == 2
        assert rows.read_text() == content
    assert not any(Path(bench.world.data).iterdir())


def test_refused_rows_of_a_file_in_another_order_keep_their_meaning(bench: Bench) -> None:
    """Their list carries the header, so that corrected ones are not read in Kraken's order."""
    header = "close,time,volume,open,low,high"
    rows = [f"2,{samples.START + 3600 * hour},9,1,0.5,3" for hour in range(9)]
    rows[4] = rows[4].replace("0.5", "half")
    bench.world.drop("SOLUSD_60.csv", samples.text([header, *rows]))
    assert not bench.world.ingest().failed
    assert bench.verify(code=0)["rows"] == 8
    listed = bench.world.rejected / "SOLUSD_60.csv.rows.csv"
    [reject] = bench.run("rejects", "--json").document
    assert reject["rows_rejected"] == 1
    assert [(example["line"], example["text"]) for example in reject["examples"]] == [("6", rows[4])]
    listed.write_text(listed.read_text().replace("half", "0.5"))

    assert bench.run("retry", str(listed)).code == 0

    assert bench.verify(code=0)["rows"] == 9
    assert len(bench.stored()) == 9
    assert {value for _, value in bench.world.facts().table} == {value_of(1, 3, 0.5, 2, 9)}


def value_of(*numbers: float) -> tuple[bytes | None, ...]:
    """Return the values of a candle without a trade count, as the table's reader does."""
    return (*(struct.pack(">d", number) for number in numbers), None)
