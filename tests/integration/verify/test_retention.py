"""Old files are packed or removed only while the table is proven to hold what they brought, whatever happens."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feefifod.archive import packing
from feefifod.catalog.retention import Retention
from feefifod.retention import originals
from tests.integration.verify.conftest import Bench, places
from tests.support import samples

MONTH = 30 * 86_400
LATER = samples.START + MONTH  # December 2023; START lies in November.


def make_files() -> dict[str, bytes]:
    """Make three series, one over two months."""
    lines = samples.rows(300, interval=60, seed=1) + samples.rows(200, interval=60, start=LATER, seed=2)
    return {
        "XBTUSD_60.csv": samples.text(lines),
        "XBTEUR_1.csv": samples.file(500, seed=3),
        "ADAUSD_1440.csv": samples.file(30, interval=1440, seed=4),
    }


def set_retention(bench: Bench, **keys: Any) -> None:
    bench.world.configure(retention={"after_days": 0, **keys})


def retain(bench: Bench, *arguments: str) -> Any:
    """Apply retention; returns the document."""
    outcome = bench.run("retention", "--json", *arguments)
    assert outcome.code == 0, outcome
    return outcome.document


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def unpack(path: Path) -> bytes:
    """Unpack as anybody would."""
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True, timeout=30).stdout


def test_packed_files_are_ordinary_ones_and_all_goes_on_as_before(bench: Bench) -> None:
    files = make_files()
    bench.load(files)
    before = bench.stored()
    set_retention(bench, files="compress")

    document = retain(bench)

    assert (len(document["compressed"]), document["pruned"], document["kept"]) == (3, [], [])
    assert 0 < document["bytes_after"] < document["bytes_before"]
    assert names(bench.world.ingested) == {f"{name}.zst" for name in files}
    for name, content in files.items():
        assert unpack(bench.world.ingested / f"{name}.zst") == content
    assert bench.verify(code=0)["rows"] == 1030
    assert retain(bench)["compressed"] == [], "nothing is packed twice"
    # What is lost in the table is read from the packed files.
    bench.tamper("ALTER TABLE TABLE_NAME DROP PARTITION LIST '2023-12'")
    assert len(bench.verify("--repair", code=0)["repaired"]) == 2
    assert bench.stored() == before
    # The same content again is a duplicate, and what became of the first one is explained.
    bench.world.drop("XBTUSD_60.csv", files["XBTUSD_60.csv"])
    assert [result.state for result in bench.world.ingest().results] == ["duplicate"]
    [explained] = bench.run("explain", "--json", "ingested/ohlcv/ADAUSD_1440.csv").document
    assert explained["state"] == "done"
    assert "compressed at" in explained["reason"]
    assert f"{bench.world.ingested}/ADAUSD_1440.csv.zst" in explained["reason"]
    again = bench.run("retry", "--overwrite", "XBTEUR_1.csv")
    assert again.code == 0, again
    assert "XBTEUR_1.csv.zst" not in names(bench.world.ingested)
    assert bench.verify(code=0)["rows"] == 1030
    assert bench.stored() == before


def test_what_is_not_proven_is_kept_and_named(bench: Bench) -> None:
    files = make_files()
    bench.load(files)
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1 WHERE interval_minutes = 1")
    moved = bench.world.ingested / "ADAUSD_1440.csv"
    moved.write_bytes(moved.read_bytes().replace(b"1", b"2", 1))
    for mode, done in (("compress", "compressed"), ("prune", "pruned")):
        set_retention(bench, files=mode)

        document = retain(bench, "--dry-run")

        assert [Path(path).name for path in document[done]] == ["XBTUSD_60.csv"]
        kept = {Path(item["path"]).name: item["reason"] for item in document["kept"] if item["warning"]}
        assert "other values" in kept["XBTEUR_1.csv"]
        assert "another content" in kept["ADAUSD_1440.csv"]
        assert names(bench.world.ingested) == set(files), "nothing was changed"
    text = bench.run("retention")
    assert "2 were kept because they could not be proven" in text.out
    assert names(bench.world.ingested) == {"XBTEUR_1.csv", "ADAUSD_1440.csv"}


def test_links_and_strangers_are_not_touched(bench: Bench) -> None:
    files = make_files()
    bench.load(files)
    outside = bench.world.root / "outside" / "precious.csv"
    linked = bench.world.ingested / "XBTUSD_60.csv"
    linked.rename(outside)
    linked.symlink_to(outside)
    (bench.world.ingested / "stranger.csv").write_bytes(b"mine")
    taken = bench.world.ingested / "XBTEUR_1.csv.zst"
    taken.write_bytes(b"not what you think")
    set_retention(bench, files="compress")

    document = retain(bench)

    assert linked.is_symlink()
    assert outside.read_bytes() == files["XBTUSD_60.csv"]
    assert (bench.world.ingested / "stranger.csv").read_bytes() == b"mine"
    assert taken.read_bytes() == b"not what you think"
    assert [item["path"] for item in document["kept"]] == [str(linked)]
    [packed] = bench.world.ingested.glob("XBTEUR_1.*Z.csv.zst")
    assert unpack(packed) == files["XBTEUR_1.csv"]
    assert [d["ticker"] for d in bench.verify(code=1)["differences"]] == ["BTC"]


def test_of_pruned_files_changes_are_still_noticed_and_called_beyond_repair(bench: Bench) -> None:
    files = make_files()
    bench.load(files)
    before = bench.stored()
    set_retention(bench, files="prune")

    assert len(retain(bench)["pruned"]) == 3

    assert names(bench.world.ingested) == set()
    document = bench.verify(code=0)
    assert (document["series"], document["files"], document["skipped"]) == (3, 0, [])
    status = bench.run("status", "--json").document
    assert (status["files"]["done"], status["rows"]["accepted"]) == (3, 1030)
    [explained] = bench.run("explain", "--json", "XBTUSD_60.csv").document
    assert (explained["state"], "pruned at" in explained["reason"]) == ("done", True)
    bench.tamper("ALTER TABLE TABLE_NAME DROP PARTITION LIST '2023-12'")
    differences = bench.verify("--repair", code=1)["differences"]
    assert places(differences) == [("ADA", "USD", 1440, "2023-12"), ("BTC", "USD", 60, "2023-12")]
    assert {d["kind"] for d in differences} == {"pruned"}
    assert all("cannot be repaired" in d["remedy"] for d in differences)
    # As the remedy says: the content is known, so that it comes in by force.
    for name in ("XBTUSD_60.csv", "ADAUSD_1440.csv"):
        bench.world.drop(name, files[name])
    assert {result.state for result in bench.world.ingest().results} == {"duplicate"}
    for name in ("XBTUSD_60.csv", "ADAUSD_1440.csv"):
        assert bench.run("retry", "--overwrite", name).code == 0
    assert bench.stored() == before
    assert bench.verify(code=0)["rows"] == 530


def test_files_of_a_month_go_together_and_a_later_one_of_the_same_time_stays(bench: Bench) -> None:
    old = samples.rows(100, interval=60, seed=1, trades=10)
    bench.load({"XBTUSD_60.csv": samples.text(old)})
    bench.load({"BTCUSD_60.csv": samples.file(50, interval=60, seed=2, trades=20)})
    bench.world.ask("UPDATE file SET finished_at = now() - interval '100 days' WHERE name = 'XBTUSD_60.csv'")
    set_retention(bench, files="prune", after_days=50)

    [waiting] = retain(bench)["kept"]

    assert (Path(waiting["path"]).name, waiting["warning"]) == ("XBTUSD_60.csv", False)
    set_retention(bench, files="prune")
    assert len(retain(bench)["pruned"]) == 2
    assert bench.verify(code=0)["skipped"] == []
    # Later rows of the month, at other times, add up; ones at the same times make the month unprovable.
    bench.load({"XBTUSD_60.csv": samples.file(20, interval=60, start=samples.START + 200 * 3600, seed=3)})
    assert bench.verify(code=0)["skipped"] == []
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1 WHERE trade_count = 20")
    assert [d["kind"] for d in bench.verify(code=1)["differences"]] == ["pruned"]
    bench.tamper("UPDATE TABLE_NAME SET close = close - 1 WHERE trade_count = 20")
    bench.load({"sub/XBTUSD_60.csv": samples.file(5, interval=60, seed=4, trades=90)})
    [skipped] = bench.verify(code=0)["skipped"]
    assert "2023-11: files were pruned" in skipped["reason"]
    kept = retain(bench)["kept"]
    assert [item["warning"] for item in kept] == [True, True]
    assert names(bench.world.ingested) == {Path(item["path"]).name for item in kept}


def make_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("master_q4/XBTUSD_60.csv", samples.file(50, interval=60))
        archive.writestr("master_q4/ETHUSD_60.csv", samples.file(60, interval=60, seed=2))
        archive.writestr("master_q4/ADAUSD_60.csv", make_files()["ADAUSD_1440.csv"])
    return content.getvalue()


def test_a_zip_goes_only_as_a_whole(bench: Bench) -> None:
    whole = make_zip()
    half = len(whole) // 2
    bench.load({"Kraken_OHLCVT.zip.part00": whole[:half], "Kraken_OHLCVT.zip.part01": whole[half:]})
    bench.load({"sub/Kraken_OHLCVT.zip": whole})
    shelf = bench.world.root / "ingested" / "zips"
    there = names(shelf)
    assert len(there) == 3
    bench.tamper("UPDATE TABLE_NAME SET close = close + 1 WHERE trade_count >= 0 AND time = '2023-11-15'")
    set_retention(bench, files="compress", zips="prune")

    document = retain(bench)

    assert (document["pruned"], names(shelf)) == ([], there)
    assert {item["warning"] for item in document["kept"]} == {True}
    bench.verify("--repair", code=0)
    assert len(retain(bench, "--dry-run")["pruned"]) == 2
    assert names(shelf) == there
    assert len(retain(bench)["pruned"]) == 2
    assert names(shelf) == set()
    document = bench.verify(code=0)
    assert (document["series"], document["skipped"]) == (3, [])
    bench.world.drop("Kraken_OHLCVT.zip", whole)
    assert "duplicate" in {str(result.state) for result in bench.world.ingest().results}


class Killed(BaseException):
    """Stands for the end of the process."""


STEPS: list[tuple[Any, str]] = [
    (packing, "rename_exclusive"),
    (Retention, "record_packed"),
    (Retention, "record_pruned"),
    (originals, "remove"),
    (Retention, "clear_leftover"),
]


def test_it_may_die_at_every_step(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nth step kills, for n = 1, 2, 3 ... until a run ends by itself; nothing is ever lost, all is finished."""
    for mode in ("compress", "prune"):
        for fatal in range(1, 40):
            name = f"{('XBT', 'ETH')[mode == 'prune']}USD_{(60, 240)[fatal % 2]}.csv"
            if bench.world.ingested.exists():
                bench.world.ask("TRUNCATE file, batch, pruned_series CASCADE")
                shutil.rmtree(bench.world.ingested)
                bench.tamper("TRUNCATE TABLE TABLE_NAME")
            bench.load({name: samples.file(100, interval=(60, 240)[fatal % 2], seed=7)})
            set_retention(bench, files=mode)
            steps = [0]
            with monkeypatch.context() as patch:
                for owner, step in STEPS:
                    patch.setattr(owner, step, deadly(getattr(owner, step), steps, fatal))
                code = bench.run("retention").code
            document = bench.verify(code=0)
            there = sorted(names(bench.world.ingested))
            if mode == "compress":
                assert document["files"] == 1
                assert document["rows"] == 100
            else:
                assert not there or document["files"] in (0, 1)
            retain(bench)
            expected = {f"{name}.zst"} if mode == "compress" else set()
            assert names(bench.world.ingested) == expected, (mode, fatal, there)
            bench.verify(code=0)
            if code == 0:
                assert fatal > 5, "the steps were passed"
                break
        else:
            pytest.fail("it never came to an end")


def deadly(step: Callable[..., Any], steps: list[int], fatal: int) -> Callable[..., Any]:
    """Let the process die before or after a step, when its turn has come."""

    def count() -> None:
        steps[0] += 1
        if steps[0] == fatal:
            raise Killed

    if step.__code__.co_flags & 0x80:

        async def later(*values: Any, **options: Any) -> Any:
            count()
            result = await step(*values, **options)
            count()
            return result

        return later

    def now(*values: Any, **options: Any) -> Any:
        count()
        result = step(*values, **options)
        count()
        return result

    return now


def test_killed_again_and_again_it_loses_nothing(bench: Bench) -> None:
    chance = random.Random(11)
    pairs = sorted(samples.PAIRS)[:20]
    files = {
        f"{pair}_{minutes}.csv": samples.file(800, interval=minutes, seed=number)
        for number, (pair, minutes) in enumerate((p, m) for p in pairs for m in (5, 15, 30))
        if pair not in ("BTCUSD", "DOGEUSD")
    }
    bench.load(files)
    set_retention(bench, files="compress")
    for _ in range(6):
        process = bench.world.start("retention")
        time.sleep(chance.uniform(1.5, 4))
        if process.alive:
            process.kill()
    assert not bench.world.run("retention").text.count("Traceback")

    assert {name for name in names(bench.world.ingested) if not name.startswith(".")} == {f"{n}.zst" for n in files}
    assert bench.verify(code=0)["files"] == len(files)


def test_the_daemon_and_run_once_do_it_once_a_day(bench: Bench) -> None:
    bench.load(make_files())
    set_retention(bench, files="compress")

    daemon = bench.world.start()
    [done] = daemon.wait_for("retention_done")
    daemon.stop()
    bench.world.drop("SOLUSD_60.csv", samples.file(10, interval=60))
    first = bench.world.run("run-once")
    bench.world.ask("UPDATE retention_day SET begun_at = now() - interval '1 day'")
    second = bench.world.run("run-once")

    assert done["compressed"] == 3
    assert first.events("retention_done") == []
    assert [event["compressed"] for event in second.events("retention_done")] == [1]


def test_off_is_the_default_and_touches_nothing(bench: Bench) -> None:
    bench.load(make_files())

    outcome = bench.run("retention")

    assert (outcome.code, outcome.out) == (0, "")
    assert "Retention is off" in outcome.err
    assert names(bench.world.ingested) == set(make_files())
