"""Everything that feefifod itself writes can be dropped again, under the name that it gave."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pyarrow
import pytest

from tests.support import samples
from tests.support.checker import Dropped, check_rows, expect_rows
from tests.support.daemon import ROOT, World
from tests.support.project import FEEFIFOD
from tests.support.zips import pack, split

SHARED = ROOT.parent / "shared" / "trials" / "archive"


def compress(content: bytes) -> bytes:
    """Compress as retention does."""
    packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return packed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def check_table(world: World, contents: dict[str, bytes]) -> None:
    """Assert that the table holds the rows of these files and nothing else, and that nothing is left in scratch."""
    dropped = [Dropped(name, content) for name, content in contents.items()]
    check_rows(world.facts().table, expect_rows(dropped), dropped)
    assert not [path for path in world.scratch.rglob("*") if path.is_file()]


def test_three_loads_of_one_series_are_dropped_again_as_they_lie_in_the_archive(world: World) -> None:
    """The recipe: a new site, and copies of all that lies in `ingested/`."""
    pieces = [samples.file(50, interval=60, start=samples.START + 50 * 3600 * n, seed=n) for n in range(3)]
    for piece in pieces:
        world.drop("XBTUSD_60.csv", piece)
        assert not world.ingest().failed
    given = names(world.ingested)
    assert len(given) == 3
    world.ask("DELETE FROM file")
    for name in given:
        world.drop(name, (world.ingested / name).read_bytes())
        (world.ingested / name).unlink()
    world.run("query", f"TRUNCATE TABLE {world.table}")
    assert not world.ingest().failed
    check_table(world, {f"{n}/XBTUSD_60.csv": piece for n, piece in enumerate(pieces)})
    assert names(world.ingested) == given
    assert not names(world.data)
    assert world.ask("SELECT sum(rows_accepted) AS n FROM file WHERE state = 'done'")[0]["n"] == 150


def test_all_that_lies_in_an_archive_is_dropped_again(world: World) -> None:
    """The recipe of docs/operations.md, carried out as it stands there."""
    contents = {n: samples.file(60, interval=60, start=samples.START + 60 * 3600 * n, seed=n) for n in range(4)}
    for number in range(2):
        world.drop("XBTUSD_60.csv", contents[number])
        assert not world.ingest().failed
    world.drop("XBTUSD_60.csv.zst", compress(contents[2]))
    world.drop("Q.zip", pack({"XBTUSD_60.csv": contents[3]}))
    assert not world.ingest().failed
    world.ask("DELETE FROM file")
    world.run("query", f"TRUNCATE TABLE {world.table}")
    page = (ROOT / "docs/operations.md").read_text().partition("## Dropping files again")[2].partition("\n## ")[0]
    [recipe] = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    ran = subprocess.run(
        ["bash", "-euc", recipe],
        cwd=world.root,
        env={**os.environ, **world.environment, "PATH": f"{FEEFIFOD.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    check_table(world, {f"{n}/XBTUSD_60.csv": content for n, content in contents.items()})
    assert not [path for path in world.data.rglob("*") if path.is_file()]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the small inputs of the trials are not beside the project")
def test_the_three_files_of_the_trial_are_two_hundred_rows(world: World) -> None:
    for path in SHARED.iterdir():
        world.drop(path.name, path.read_bytes())
    assert not world.ingest().failed
    assert len(world.facts().table) == 200
    assert world.states() == {"done": 3}


def test_a_name_that_has_a_time_in_it_gets_no_second_one(world: World) -> None:
    name = "XBTUSD_60.20261125T170326.583384Z.csv"
    for number in range(3):
        world.drop(name, samples.file(20, interval=60, seed=number))
        assert not world.ingest().failed
    assert name in names(world.ingested)
    assert [len(other) for other in names(world.ingested)] == [len(name)] * 3


def test_a_compressed_file_is_loaded_and_moved_as_it_is(world: World) -> None:
    content = samples.file(3_000)
    packed = compress(content)
    world.drop("XBTUSD_1.csv.zst", packed)
    assert not world.ingest().failed
    check_table(world, {"XBTUSD_1.csv": content})
    assert (world.ingested / "XBTUSD_1.csv.zst").read_bytes() == packed
    assert names(world.ingested) == ["XBTUSD_1.csv.zst"]
    [row] = world.ask("SELECT state, rows_accepted, wrapping FROM file")
    assert dict(row) == {"state": "done", "rows_accepted": 3_000, "wrapping": ".zst"}
    # It is known by what is inside, however that is dropped.
    world.drop("XBTUSD_1.csv", content)
    world.drop("XBTUSD_1.20261125T170326.583384Z.csv.zst", packed)
    assert not world.ingest().failed
    assert world.states() == {"done": 1, "duplicate": 2}
    world.run("verify")


def test_what_retention_compressed_is_dropped_again(world: World) -> None:
    content = samples.file(500, interval=60)
    world.drop("XBTUSD_60.csv", content)
    assert not world.ingest().failed
    world.configure(retention={"files": "compress", "after_days": 0})
    world.run("retention")
    assert names(world.ingested) == ["XBTUSD_60.csv.zst"]
    world.run("query", f"TRUNCATE TABLE {world.table}")
    world.ask("DELETE FROM file")
    (world.ingested / "XBTUSD_60.csv.zst").rename(world.data / "XBTUSD_60.csv.zst")
    assert not world.ingest().failed
    check_table(world, {"XBTUSD_60.csv": content})
    # It is compressed already; a second time would make nothing smaller, and `verify` reads it as it is.
    world.run("retention")
    assert names(world.ingested) == ["XBTUSD_60.csv.zst"]
    world.run("verify")


def test_odd_rows_out_of_order_and_bad_ones_in_a_compressed_file(world: World) -> None:
    lines = samples.rows(300, interval=60)
    random.Random(5).shuffle(lines)
    world.drop("XBTUSD_60.csv.zst", compress(samples.text([*lines, "nonsense"])))
    assert not world.ingest().failed
    check_table(world, {"XBTUSD_60.csv": samples.text(sorted(lines))})
    assert names(world.rejected) == ["XBTUSD_60.csv.zst.rows.csv"]
    world.run("verify")


def test_killed_in_mid_load_a_compressed_file_goes_on(world: World) -> None:
    content = samples.file(5_000)
    world.configure(pipeline={"window_rows": 1_000})
    for step in ("checkpointed:2", "recorded", "renamed"):
        world.drop("XBTUSD_1.csv.zst", compress(content + step.encode() + b"\n"))
        world.run("run-once", FEEFIFOD_CRASH_AT=step, code=None)
    world.run("run-once", code=None)
    check_table(world, {"XBTUSD_1.csv": content})
    assert set(world.states()) == {"done"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1700006400,1,1,1,1,1,1\n", "no whole .zst file"),
        (compress(samples.file(3_000))[:-20], "cut off"),
        (compress(samples.file(3_000))[:2_000] + bytes(3_000), "cut off or damaged"),
        (compress(bytes(64 * 1024 * 1024)), "unpacks to more than"),
        (compress(b"nonsense\n"), "its only row is bad"),
    ],
    ids=["plain text", "cut off", "damaged", "bomb", "no good row"],
)
def test_bad_compressed_file_is_refused_with_its_reason(world: World, content: bytes, reason: str) -> None:
    world.drop("XBTUSD_1.csv.zst", content)
    world.drop("ETHUSD_60.csv", samples.file(20, interval=60))
    if reason == "cut off":
        world.configure(watch={"truncated_seconds": 3600.0})
        assert not world.ingest().failed
        assert names(world.data) == ["XBTUSD_1.csv.zst"], "its end may still come"
        world.configure(watch={"truncated_seconds": 0.1})
    assert world.ingest().failed
    assert (world.rejected / "XBTUSD_1.csv.zst").read_bytes() == content
    assert reason in (world.rejected / "XBTUSD_1.csv.zst.reason.json").read_text()
    check_table(world, {"ETHUSD_60.csv": samples.file(20, interval=60)})


def test_a_compressed_file_without_a_row_is_an_empty_file(world: World) -> None:
    world.drop("XBTUSD_60.csv.zst", compress(b""))
    world.drop("ETHUSD_60.csv.zst", b"")
    assert not world.ingest().failed
    assert not names(world.data)
    assert world.states() == {"empty": 2}


def test_refused_rows_are_corrected_and_dropped_again(world: World) -> None:
    lines = samples.rows(100, interval=60)
    broken = [line.replace(",", ";", 1) if n % 10 == 3 else line for n, line in enumerate(lines)]
    world.drop("XBTUSD_60.csv", samples.text(broken))
    assert not world.ingest().failed
    rows = world.rejected / "XBTUSD_60.csv.rows.csv"
    # Dropped as it is, nothing of it is good; it is refused, and can be corrected there.
    uncorrected = rows.read_text()
    world.drop(rows.name, uncorrected.encode())
    assert world.ingest().failed
    assert rows.name in names(world.rejected)
    rows.unlink()
    for path in [path for path in world.rejected.iterdir() if path.name.startswith("XBTUSD_60.2")]:
        path.unlink()
    world.drop(rows.name, uncorrected.replace(";", ",").encode())
    assert not world.ingest().failed
    check_table(world, {"XBTUSD_60.csv": samples.text(lines)})
    assert rows.name in names(world.ingested)
    world.run("verify")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1700006400,1,1,1,1,1,1\n", "does not begin as a list of refused rows"),
        (b"line,reason,text\n1,why\n", "line 2 has other than three columns"),
        (b"line,reason,text\n1,why,\xff\n", "no CSV in UTF-8"),
        (b'line,reason,text\n1,why,"' + b"x\n" * 200_000, "no CSV in UTF-8"),
        (b"line,reason,text\n1,why," + b"x" * 300_000, "a line is longer"),
    ],
    ids=["no list", "two columns", "no UTF-8", "no end of a quote", "no end of a line"],
)
def test_what_is_no_list_of_refused_rows_says_so(world: World, content: bytes, reason: str) -> None:
    world.drop("XBTUSD_60.csv.rows.csv", content)
    assert world.ingest().failed
    assert reason in (world.rejected / "XBTUSD_60.csv.rows.csv.reason.json").read_text()


def test_all_that_lies_in_the_folder_of_refused_files_is_dropped_at_once(world: World) -> None:
    """Notes are left where they are; everything else is judged again."""
    world.drop("XBTUSD_60.csv", b"nonsense\n")
    world.drop("ETHUSD_60.csv", samples.file(20, interval=60) + b"nonsense\n")
    world.drop("XBTUSD_7.csv", b"nonsense\n")
    world.ingest()
    before = names(world.rejected)
    for name in before:
        (world.rejected / name).rename(world.data / name)
    world.ingest()
    notes = ["XBTUSD_60.csv.reason.json", "XBTUSD_7.csv.reason.json"]
    assert names(world.data) == notes
    assert set(names(world.rejected)) >= {"XBTUSD_60.csv", "XBTUSD_7.csv", "ETHUSD_60.csv.rows.csv"}


def test_parts_of_a_zip_whose_names_are_taken_stay_parts_of_one_zip(world: World) -> None:
    contents = {n: samples.file(400, interval=60, seed=n, start=samples.START + 400 * 3600 * n) for n in range(2)}
    for content in contents.values():
        for number, piece in enumerate(split(pack({"XBTUSD_60.csv": content}), 3)):
            world.drop(f"Full.zip.part{number:02}", piece)
        assert not world.ingest().failed
    folder = world.root / "ingested" / "zips"
    stamped = [name for name in names(folder) if not name.startswith("Full.zip")]
    assert len({name.partition(".zip")[0] for name in stamped}) == 1
    assert len(stamped) == 3
    world.run("verify")
    # And so they are read back.
    world.run("query", f"TRUNCATE TABLE {world.table}")
    world.ask("DELETE FROM file")
    for name in names(folder):
        (folder / name).rename(world.data / name)
    assert not world.ingest().failed
    check_table(world, {f"{n}/XBTUSD_60.csv": content for n, content in contents.items()})


def test_killed_in_mid_move_the_parts_of_a_zip_stay_together(world: World) -> None:
    contents = {n: samples.file(400, interval=60, seed=n, start=samples.START + 400 * 3600 * n) for n in range(2)}
    for number, content in contents.items():
        for part, piece in enumerate(split(pack({"XBTUSD_60.csv": content}), 4)):
            world.drop(f"Full.zip.part{part:02}", piece)
        for step in ("renamed:1", "renamed:1") if number else ():
            world.run("run-once", FEEFIFOD_CRASH_AT=step, code=None)
        assert not world.ingest().failed
    folder = world.root / "ingested" / "zips"
    stamped = [name for name in names(folder) if not name.startswith("Full.zip")]
    assert len(stamped) == 4
    assert len({name.partition(".zip")[0] for name in stamped}) == 1
    world.run("verify")


def test_a_zip_may_hold_what_we_named(world: World) -> None:
    one, two = samples.file(200, interval=60, seed=1), samples.file(200, interval=60, seed=2)
    world.drop(
        "archive.zip",
        pack(
            {
                "ohlcv/XBTUSD_60.csv.zst": compress(one),
                "ohlcv/ETHUSD_60.20261125T170326.583384Z.csv": two,
                "rejected/XBTUSD_7.csv.reason.json": b"{}",
            }
        ),
    )
    assert not world.ingest().failed
    check_table(world, {"XBTUSD_60.csv": one, "ETHUSD_60.csv": two})
    assert names(world.root / "ingested" / "zips") == ["archive.zip"]
    world.run("verify")


def test_explain_agrees(world: World) -> None:
    import json  # noqa: PLC0415 - only here

    world.drop("XBTUSD_60.20261125T170326.583384Z.csv.zst", compress(samples.file(20, interval=60)))
    world.drop("XBTUSD_60.csv.rows.csv", b"line,reason,text\n")
    world.drop("XBTUSD_60.csv.reason.json", b"{}")
    for options in ((), ("--offline",)):
        process = world.run("explain", "--json", *options, *names(world.data))
        found = json.loads(process.text[process.text.index("[\n") :])
        assert [(item["kind"], item["pair"], item["interval_minutes"]) for item in found] == [
            ("ohlcvt", "XBTUSD", 60),
            ("ignored", None, None),
            ("ohlcvt", "XBTUSD", 60),
        ]
        assert "XBTUSD_60.csv was refused" in found[1]["reason"]


def test_a_compressed_file_needs_no_memory_for_its_size(tmp_path: Path) -> None:
    """300 MB of candles in bounded memory: an address space that they would not fit into beside the program."""
    source, target = tmp_path / "XBTUSD_1.csv.zst", tmp_path / "out.csv"
    piece = samples.file(30_000)
    with pyarrow.CompressedOutputStream(str(source), "zstd") as stream:
        for _ in range(150):
            stream.write(piece)
    script = (
        "import os, resource, sys\nfrom pathlib import Path\nfrom feefifod.archive import unwrap_file\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "unwrap_file(os.open(sys.argv[1], os.O_RDONLY), '.zst', Path(sys.argv[2]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(source), str(target)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert target.stat().st_size == 150 * len(piece)
    assert int(ran.stdout) < 64 * 1024, "KiB of memory for unpacking"
