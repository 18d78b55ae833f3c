"""What a file is, is never read out of its path: what a person drops is an ordinary drop, and is never destroyed."""

from __future__ import annotations

import pytest

from tests.support import samples
from tests.support.daemon import World
from tests.support.zips import pack

COPY = f"scratch/zips/{'ab' * 32}/x-1"


@pytest.mark.parametrize(
    "place",
    [
        f"old.feefifod/{COPY}/XBTUSD_60.csv",
        f"{COPY}/2/XBTUSD_60.csv",
        "scratch/batch-1-1/XBTUSD_60.csv",
        "ingested/ohlcv/XBTUSD_60.csv",
        "rejected/XBTUSD_60.csv",
        "questdb/import/XBTUSD_60.csv",
    ],
)
def test_file_in_a_rescued_folder_is_an_ordinary_drop(world: World, place: str) -> None:
    content = samples.file(200, interval=60)
    world.drop(place, content)
    assert not world.ingest().failed
    world.check()
    assert (world.ingested / "XBTUSD_60.csv").read_bytes() == content
    [row] = world.ask("SELECT state, zip_sha256, member, rows_accepted FROM file")
    assert dict(row) == {"state": "done", "zip_sha256": None, "member": None, "rows_accepted": 200}


def test_bad_rows_and_refusals_below_such_a_path_are_those_of_a_drop(world: World) -> None:
    world.drop(f"{COPY}/XBTUSD_60.csv", samples.file(200, interval=60) + b"nonsense\n")
    world.drop(f"{COPY}/ETHUSD_60.csv", b"nonsense\n")
    world.drop(f"{COPY}/XBTUSD_7.csv", b"nonsense\n")
    world.ingest()
    world.check()
    assert sorted(path.name for path in world.rejected.iterdir()) == [
        "ETHUSD_60.csv",
        "ETHUSD_60.csv.reason.json",
        "ETHUSD_60.csv.rows.csv",
        "XBTUSD_60.csv.rows.csv",
        "XBTUSD_7.csv",
        "XBTUSD_7.csv.reason.json",
    ]


def test_data_folder_below_such_a_path(world: World) -> None:
    content = samples.file(200, interval=60)
    data = world.root / "old" / COPY / "data"
    data.mkdir(parents=True)
    world.configure(paths={"data": str(data)})
    (data / "XBTUSD_60.csv").write_bytes(content)
    (data / "Q.zip").write_bytes(pack({"ETHUSD_60.csv": content}))
    assert not world.ingest().failed
    assert (world.ingested / "XBTUSD_60.csv").read_bytes() == content
    assert not list(data.iterdir())
    assert world.states() == {"done": 3}


def test_copy_of_a_zips_scratch_is_loaded_and_kept_beside_the_zip(world: World) -> None:
    """The folder of a zip that is known, with its real hash: the zip has the content too, and the drop stays a drop."""
    content = samples.file(200, interval=60)
    world.drop("Q.zip", pack({"XBTUSD_60.csv": content}))
    assert not world.ingest().failed
    sha256 = world.ask("SELECT sha256 FROM file WHERE is_zip")[0]["sha256"]
    world.drop(f"rescued/scratch/zips/{sha256.hex()}/x-1/XBTUSD_60.csv", content)
    assert not world.ingest().failed
    world.check()
    assert world.states() == {"done": 2, "duplicate": 1}
    assert (world.ingested / "XBTUSD_60.csv").read_bytes() == content


def test_ledger_of_before_takes_no_drop_for_a_copy(world: World) -> None:
    """Earlier versions read the membership out of the path: a file in flight at the upgrade was marked as a copy."""
    content = samples.file(200, interval=60)
    path = world.drop(f"{COPY}/XBTUSD_60.csv", content)
    world.run("run-once", FEEFIFOD_CRASH_AT="recorded", code=None)
    assert world.states() == {"moving": 1}
    world.ask("UPDATE file SET zip_sha256 = $1, member = 'XBTUSD_60.csv'", b"\xab" * 32)
    assert not world.ingest().failed
    assert not path.exists()
    assert (world.ingested / "XBTUSD_60.csv").read_bytes() == content
    # The same with one that still waits.
    other = world.drop(f"{COPY}/ETHUSD_60.csv", content)
    world.run("run-once", FEEFIFOD_CRASH_AT="registered", code=None)
    world.ask("UPDATE file SET zip_sha256 = $1, member = 'ETHUSD_60.csv' WHERE state = 'waiting'", b"\xab" * 32)
    assert not world.ingest().failed
    assert not other.exists()
    assert (world.ingested / "ETHUSD_60.csv").read_bytes() == content
    assert [row["zip_sha256"] for row in world.ask("SELECT zip_sha256 FROM file WHERE name LIKE 'ETH%'")] == [None]


def test_member_of_a_zip_whose_names_have_other_scripts_comes_to_an_end(world: World) -> None:
    """The name of a member as the ledger keeps it is the member's, not the bytes of its path written out."""
    world.drop("Q.zip", pack({"XBTUSD_60.csv": samples.file(20, interval=60), "ünbekannt_60.csv": b"1,2\n"}))
    world.ingest()
    assert world.states() == {"done": 2, "rejected": 1}
    assert not list(world.data.iterdir())


def test_retry_leaves_the_notes_on_another_file_alone(world: World) -> None:
    """A file that got a time into its name goes back under its own; notes under that name are those of another."""
    for number in range(2):
        world.drop("XBTUSD_60.csv", f"nonsense {number}\n".encode())
        world.ingest()
    names = {path.name for path in world.rejected.iterdir()}
    stamped = next(name for name in names if name.startswith("XBTUSD_60.2") and name.endswith("Z.csv"))
    (world.rejected / stamped).write_bytes(samples.file(20, interval=60))
    world.run("retry", str(world.rejected / stamped))
    left = {path.name for path in world.rejected.iterdir()}
    assert left == {name for name in names if not name.startswith(stamped)}
    assert {"XBTUSD_60.csv", "XBTUSD_60.csv.reason.json", "XBTUSD_60.csv.rows.csv"} <= left


def test_parts_with_a_refused_name_are_refused_each_with_its_reason(world: World) -> None:
    """They are not taken for parts of one zip, whose name has to be right for that."""
    for number in range(2):
        world.drop(f"ünbekannt.zip.part{number:02}", b"x" * (number + 1))
    assert world.ingest().failed
    names = sorted(path.name for path in world.rejected.iterdir())
    assert names == sorted(f"ünbekannt.zip.part{number:02}{end}" for number in range(2) for end in ("", ".reason.json"))
