"""Whatever is dropped: each file has a clear outcome, each good row is loaded, each bad one is kept with a reason."""

from __future__ import annotations

import csv
import json
import os
import socket
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.checker import Dropped
from tests.support.daemon import World

_GOOD = samples.rows(40, interval=60)


def _rejects(world: World, name: str) -> list[tuple[int, str, str]]:
    with (world.rejected / f"{name}.rows.csv").open(newline="") as file:
        return [(int(row["line"]), row["reason"], row["text"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b" \n\r\n\n", b"time,open,high,low,close,volume,trades\n", b"\xef\xbb\xbf"],
    ids=["no byte", "newline", "blank", "header only", "byte order mark only"],
)
def test_file_without_a_data_row_is_deleted_and_recorded(world: World, content: bytes) -> None:
    path = world.drop("XBTUSD_60.csv", content)
    summary = world.ingest()
    assert not summary.failed
    world.check()
    assert not path.exists()
    assert world.states() == {"empty": 1}


def test_one_row_file_is_data(world: World) -> None:
    world.drop("XBTUSD_60.csv", samples.text(_GOOD[:1]))
    world.ingest()
    assert len(world.check().table) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + samples.text(_GOOD),
        samples.text(_GOOD).replace(b"\n", b"\r\n"),
        b"time,open,high,low,close,volume,trades\n" + samples.text(_GOOD),
        b"\xef\xbb\xbftime,open,high,low,close,volume,trades\r\n" + samples.text(_GOOD).replace(b"\n", b"\r\n"),
        samples.text([row.rpartition(",")[0] for row in _GOOD]),
        samples.text([*_GOOD[20:], *_GOOD[:20]]),
        samples.text(_GOOD[::-1]),
        samples.text([*_GOOD, *samples.rows(40, interval=60, seed=2)]),
        b"\n\n" + samples.text(_GOOD) + b"\n",
    ],
    ids=[
        "byte order mark",
        "crlf",
        "header",
        "all of these",
        "six columns",
        "unsorted",
        "backwards",
        "repeated times",
        "blank lines",
    ],
)
def test_odd_spellings_are_read(world: World, content: bytes) -> None:
    world.drop("XBTUSD_60.csv", content)
    assert not world.ingest().failed
    assert len(world.check().table) == 40
    assert world.states() == {"done": 1}
    assert not list(world.rejected.glob("*")), "no row of it is bad"


def test_bad_rows_are_set_aside_with_line_number_and_reason(world: World) -> None:
    bad = {
        3: "1700009999,1,1,1,1,1,1",
        7: f"{samples.START + 7200},1,1,1,1,1",
        11: "1700017200,1,nan,1,1,1,1",
        12: "1700020800,1_0,1,1,1,1,1",
        20: "1700024400000,1,1,1,1,1,1",
        31: "1700028000,1,1,1,1,-1,1",
    }
    lines = list(_GOOD)
    for number, line in bad.items():
        lines.insert(number - 1, line)
    world.drop("XBTUSD_60.csv", samples.text(lines))
    summary = world.ingest()
    assert not summary.failed, "bad rows are a warning"
    assert len(world.check().table) == 40
    rejects = _rejects(world, "XBTUSD_60.csv")
    assert {line: text for line, _, text in rejects} == bad
    assert all(reason for _, reason, _ in rejects)
    [row] = world.facts().ledger
    assert (row["state"], row["rows_accepted"], row["rows_rejected"]) == ("done", 40, len(bad))


def test_bad_row_deep_in_a_file_that_was_half_loaded(world: World) -> None:
    """The sweep meets it after many windows were sent; the rest of the batch is not disturbed."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    lines = samples.rows(6_000)
    lines[5_500] = lines[5_500].replace(",", ";")
    world.drop("XBTUSD_1.csv", samples.text(lines))
    world.drop("ETHUSD_1.csv", samples.file(6_000, seed=2))
    world.ingest()
    assert len(world.check().table) == 11_999
    assert [line for line, _, _ in _rejects(world, "XBTUSD_1.csv")] == [5_501]


@pytest.mark.parametrize(
    "content",
    [
        b"1700006400,nan,1,1,1,1,1\n1700010000,1,1,1,1,1e400,1\n",
        samples.text(_GOOD).decode().encode("utf-16"),
        b"\x1f\x8b\x08" + bytes(range(200)),
        b"x" * 300_000,
        b"one line without an end",
    ],
    ids=["no good row", "utf-16", "gzip", "one huge line", "one unterminated line"],
)
def test_file_without_a_good_row_is_refused_with_a_reason(world: World, content: bytes) -> None:
    world.drop("XBTUSD_60.csv", content)
    world.drop("ETHUSD_60.csv", samples.text(_GOOD))
    summary = world.ingest()
    assert summary.failed
    facts = world.facts()
    assert {row["name"]: row["state"] for row in facts.ledger} == {
        "XBTUSD_60.csv": "rejected",
        "ETHUSD_60.csv": "done",
    }
    refused = world.dropped.pop(0)
    assert (world.rejected / "XBTUSD_60.csv").read_bytes() == refused.content
    assert json.loads((world.rejected / "XBTUSD_60.csv.reason.json").read_text())["reason"]


def test_nothing_in_rejected_is_overwritten(world: World) -> None:
    for content in (b"1,1,1,1,1,1,1\n", b"2,1,1,1,1,1,1\n", b"1,1,1,1,1,1,1\n"):
        world.drop("XBTUSD_60.csv", content)
        world.ingest()
    world.check()
    refused = [path for path in world.rejected.iterdir() if not path.name.endswith((".reason.json", ".rows.csv"))]
    assert len(refused) == 3
    for path in refused:
        assert path.with_name(path.name + ".reason.json").is_file()
        assert path.with_name(path.name + ".rows.csv").is_file()


def test_unterminated_last_line_is_refused_after_a_while(world: World) -> None:
    world.drop("XBTUSD_60.csv", samples.text(_GOOD).removesuffix(b"\n"))
    world.run("run-once")
    if world.states() != {"done": 1}:
        world.run("run-once")  # It was not old enough to be judged.
    assert len(world.check().table) == 39
    assert [line for line, _, _ in _rejects(world, "XBTUSD_60.csv")] == [40]


def test_strange_names_and_kinds_disturb_nobody(world: World) -> None:
    """A name may hold anything, and a thing in the folder may be anything: the good file beside them is loaded."""
    world.drop("XBTUSD_60.csv", samples.text(_GOOD))
    hostile = [b"new\nline_60.csv", b"\xff\xfe_60.csv", b"\x1b[2J_60.csv", b"x" * 240 + b"_60.csv", b"XBTUSD_61.csv"]
    for name in hostile:
        content = samples.text(_GOOD)
        Path(os.fsdecode(os.fsencode(world.data) + b"/" + name)).write_bytes(content)
    left = {"LINKUSD_60.csv", "XDGUSD_60.csv", "FOLDER_60.csv", "SOLUSD_60.csv", "ADAUSD_60.csv", "DOTUSD_60.csv"}
    secret = world.root / "outside" / "secret"
    secret.write_bytes(samples.text(_GOOD))
    (world.data / "LINKUSD_60.csv").symlink_to(secret)
    os.mkfifo(world.data / "XDGUSD_60.csv")
    (world.data / "FOLDER_60.csv").mkdir()
    (world.data / "SOLUSD_60.csv").write_bytes(samples.text(_GOOD))
    (world.data / "ADAUSD_60.csv").hardlink_to(world.data / "SOLUSD_60.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(world.data)  # A socket's name may have no more than 107 bytes.
        listener.bind("DOTUSD_60.csv")
        os.chdir(here)

    daemon = world.start()
    world.wait_finished(1 + len(hostile))
    # It is alive and well: what comes now is loaded as ever.
    world.drop("ETHUSD_60.csv", samples.file(30, interval=60, seed=5))
    world.wait_finished(2 + len(hostile))
    # SFTP's rename is a link and an unlink: the file is taken when its name is the only one.
    (world.data / "ADAUSD_60.csv").unlink()
    left -= {"ADAUSD_60.csv", "SOLUSD_60.csv"}
    world.dropped.append(Dropped("SOLUSD_60.csv", samples.text(_GOOD)))
    world.wait_finished(3 + len(hostile))
    daemon.stop()

    assert {path.name for path in world.data.iterdir()} == left
    assert secret.exists()
    refused = [path for path in world.rejected.iterdir() if not path.name.endswith((".reason.json", ".rows.csv"))]
    assert len(refused) == len(hostile)
    for line in daemon.text.splitlines():
        assert json.loads(line), "no name breaks the log"
    facts = world.facts()
    assert {row["state"] for row in facts.ledger} == {"done", "rejected"}
    assert len(facts.table) == 40 + 30 + 40
