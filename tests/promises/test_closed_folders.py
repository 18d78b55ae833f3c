"""Folders in the data folder that cannot be looked into are passed over and named; a move says which side failed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.daemon import World, wait_until
from tests.support.plain_disk import plain_disk


def test_unreadable_folders_are_named_and_passed_over(world: World) -> None:
    """By `run-once`, `status`, `explain` and `doctor`; what lies beside them is loaded."""
    with plain_disk(world.data / "disk"):
        for place in ("lost+found", "a/broken", "a/b/stale"):
            (world.data / "disk" / place).mkdir(parents=True)
        world.drop("XBTUSD_60.csv", samples.file(300, interval=60))
        (world.data / "disk" / "ETHUSD_60.csv").write_bytes(samples.file(50, interval=60))
        output = world.run("run-once").text
        assert output.count("lost+found") == 2, "once in the log, once in the summary"
        for place, cause in (("a/broken", "Input/output error"), ("a/b/stale", "Stale file handle")):
            assert f"disk/{place}: it cannot be" in output
            assert cause in output
        document = json.loads(world.run("status", "--json").text)
        places = [item["path"] for item in document["data"]["unreadable"]]
        assert places == [str(world.data / "disk" / place) for place in ("a/b/stale", "a/broken", "lost+found")]
        assert "lost+found" in world.run("status").text
        explained = world.run("explain", str(world.data / "disk/lost+found/XBTUSD_60.csv")).text
        assert "lost+found is passed over: it cannot be read: Permission denied" in explained.replace("\n", " ")
        doctor = json.loads(world.run("doctor", "--json", code=None).text)
        found = [item for item in doctor["findings"] if "lost+found" in item["what"]]
        assert len(found) == 1
        assert found[0]["remedy"]
    assert sorted(path.name for path in world.ingested.iterdir()) == ["ETHUSD_60.csv", "XBTUSD_60.csv"]


def test_mount_that_dies_beside_a_daemon(world: World) -> None:
    """Named once, and again when it is back; what was waiting in it is not forgotten; the others are loaded."""
    (world.data / "disk.real").mkdir()
    with plain_disk(world.data / "disk") as server:
        (world.data / "disk" / "ETHUSD_60.csv").write_bytes(b"1700006400,1,1,1,1,1,1")
        daemon = world.start()
        daemon.wait_for("watching")
        world.ask(
            "INSERT INTO file (path, name, device, inode, size, mtime_ns, ctime_ns, ticker, category, quote,"
            " interval_minutes) VALUES ($1, 'SOLUSD_60.csv', 1, 1, 1, 1, 1, 'SOL', 'CRYPTO', 'USD', 60)",
            os.fsencode(world.data / "disk" / "SOLUSD_60.csv"),
        )
        server.kill()
        server.wait()
        daemon.wait_for("folder_passed_over")
        for name in ("XBTUSD_60.csv", "DOTUSD_60.csv"):
            world.drop(name, samples.file(30, interval=60))
            done = world.states().get("done", 0)
            wait_until(lambda done=done: world.states().get("done", 0) > done, what=name)
        passed_over = daemon.events("folder_passed_over")
        assert [event["folder"] for event in passed_over] == [str(world.data / "disk")]
        assert "not connected" in passed_over[0]["reason"]
        assert passed_over[0]["remedy"]
        assert world.ask("SELECT state FROM file WHERE name = 'SOLUSD_60.csv'") == [{"state": "waiting"}]
    daemon.wait_for("folder_looked_into_again")
    daemon.stop()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing in a folder be changed: a mount of itself that is read-only, on the same file system or not."""
    for command in (["mount", "--bind"], ["mount", "-o", "remount,bind,ro"]):
        try:
            subprocess.run([*command, str(folder), str(folder)], check=True, capture_output=True, timeout=20)
        except (FileNotFoundError, subprocess.CalledProcessError):
            pytest.skip("bind mounts are not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def test_read_only_data_folder_is_blamed_and_the_rows_are_counted(world: World) -> None:
    world.drop("XBTUSD_60.csv", samples.file(20, interval=60))
    with read_only(world.data):
        output = world.run("run-once", code=1).text
        assert "20 rows are in the table" in output
        assert str(world.data) in output
        assert "Read-only file system" in output
        assert "waits in data/ to be moved" in output
        lines = output.splitlines()
        [head] = [place for place, line in enumerate(lines) if line.startswith("loaded ")]
        numbers = lines[head + 1].split()
        assert (numbers[0], numbers[4], numbers[6]) == ("1", "0", "20"), "loaded, left, rows"
        status = json.loads(world.run("status", "--json").text)
        assert status["unmoved"] == {"files": 1, "rows": 20, "examples": ["XBTUSD_60.csv"]}
        assert "wait to be moved" in world.run("status").text.replace("\n", " ")
        findings = json.loads(world.run("doctor", "--json", code=None).text)["findings"]
        assert any(item["check"] == "folder data" and "read-only" in item["what"] for item in findings)
        again = world.run("run-once", code=1).text
        assert "20 rows are in the table" in again
        assert not [path for path in world.ingested.glob("*.csv") if path.name != "XBTUSD_60.csv"], (
            "copied once at most"
        )
    assert not world.ingest().stuck
    world.check()


def test_what_is_left_alone_is_counted_by_reason(world: World) -> None:
    names = ("a.png", "b.png", "c.png", "d.png", "Kraken.7z", "XBTUSD_60.csv.gz", "more/all.tar.bz2", "XBTUSD.csv")
    for name in names:
        (world.data / name).parent.mkdir(exist_ok=True)
        (world.data / name).write_bytes(b"x")
    (world.data / "ETHUSD_60.csv").symlink_to("a.png")
    world.drop("XBTUSD_60.csv", samples.file(20, interval=60))
    output = world.run("run-once").text
    assert "4: not an OHLCVT name; expected PAIR_MINUTES.csv (a.png, b.png, c.png, ...)" in output
    assert "1: packed as 7z, and only zips are read" in output
    assert "more/all.tar.bz2" in output
    assert "1: single trades, not candles" in output
    assert "1: it is a symbolic link" in output
    ignored = json.loads(world.run("status", "--json").text)["ignored"]
    assert sum(group["files"] for group in ignored) == len(names) + 1
    assert {"reason", "files", "examples"} == ignored[0].keys()
    assert "packed as 7z" in world.run("status").text
    nothing = world.run("ingest-sequential", "--yes").text
    assert "There is nothing to ingest" in nothing
    assert "packed as 7z" in nothing
