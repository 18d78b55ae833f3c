"""`feefifod explain` beside servers: what the ledger knows of a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from feefifod.servers import Endpoints
from tests.support import zips
from tests.support.embedded import query
from tests.support.project import ROOT, Project, candle

START = 1_499_997_600


def explain(project: Project, *paths: str) -> list[dict[str, Any]]:
    document: list[dict[str, Any]] = project.succeed("explain", "--json", *paths).document
    return document


def test_a_file_is_followed_from_drop_to_end(project: Project) -> None:
    good = project.drop("XBTUSD_60.csv", candle(START), candle(START + 3600), "1,not,a,candle")
    bad = project.drop("sub/ETHUSD_60.csv", "nothing good in it")
    empty = project.drop("SOLUSD_60.csv")
    filed = project.folder / "ingested" / "ohlcv" / "XBTUSD_60.csv"

    assert [found["state"] for found in explain(project, str(good), str(bad))] == ["waiting", "waiting"]
    project.run("run-once")
    done, by_place, rejected, deleted = explain(project, "data/XBTUSD_60.csv", str(filed), str(bad), str(empty))

    assert [found["state"] for found in (done, by_place, rejected, deleted)] == ["done", "done", "rejected", "empty"]
    for found in (done, by_place):
        assert found["reason"].startswith("was loaded")
        assert "2 rows accepted, 1 rejected" in found["reason"]
        assert str(filed) in found["reason"]
    assert rejected["reason"].startswith("was refused")
    assert deleted["reason"].startswith("was deleted")

    again = project.drop("XBTUSD_60.csv", candle(START), candle(START + 7200))
    [waiting] = explain(project, str(again))
    assert waiting["state"] == "waiting"
    assert "an earlier file of this path was loaded" in waiting["reason"]


def test_a_file_in_a_table_that_is_gone_is_told_so(project: Project) -> None:
    project.drop("XBTUSD_60.csv", candle(START))
    project.succeed("run-once")
    project.succeed("setup-questdb-schema", "--drop", "--yes")

    [found] = explain(project, "data/XBTUSD_60.csv")

    assert "is gone" in found["reason"]


def test_every_part_of_a_split_zip_is_explained_by_the_zips_own_row(project: Project) -> None:
    content = zips.pack({"XBTUSD_60.csv": f"{candle(START)}\n".encode()})
    for number, part in enumerate(zips.split(content, 3)):
        (project.data / f"Kraken_OHLCVT.zip.part{number:02}").write_bytes(part)
    project.succeed("run-once")
    names = [f"Kraken_OHLCVT.zip.part{number:02}" for number in range(3)]

    by_name = explain(project, *names)
    by_place = explain(project, *(f"ingested/zips/{name}" for name in names))

    assert [found["state"] for found in by_name + by_place] == ["done"] * 6
    assert all("zips/Kraken_OHLCVT.zip.part00" in found["reason"] for found in by_name + by_place)


def test_a_ledger_that_cannot_be_asked_is_no_failure(project: Project, pair: Endpoints) -> None:
    file = project.drop("XBTUSD_60.csv", candle(START))
    while time.time() - file.stat().st_ctime < 0.1:
        time.sleep(0.01)  # The settle time passes.
    lines = (project.folder / "config.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("postgres")]
    url = 'postgres.url = "postgresql://me:s3cret-word@127.0.0.1:1/db"'
    (project.folder / "config.toml").write_text("\n".join([*kept, url]))

    outcome = project.succeed("explain", "--json", "XBTUSD_60.csv")

    assert outcome.document[0]["reason"].startswith("will be picked up")
    assert "ledger was not asked" in outcome.err
    assert "s3cret-word" not in outcome.out + outcome.err


def test_looking_changes_nothing(project: Project, pair: Endpoints) -> None:
    project.drop("XBTUSD_60.csv", candle(START))

    project.succeed("explain", "XBTUSD_60.csv")
    project.succeed("status")

    assert query(pair.questdb_url, f"SELECT * FROM tables() WHERE table_name = '{project.table}'")["dataset"] == []
    assert sorted(path.name for path in project.folder.iterdir()) == ["config.toml", "data"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    with TemporaryDirectory(prefix="feefifod-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that somebody else cannot read")
def test_an_unreadable_file_names_owner_mode_and_remedy(open_folder: Path) -> None:
    file = open_folder / "data" / "XBTUSD_60.csv"
    file.parent.mkdir()
    file.write_text(f"{candle(START)}\n")
    file.chmod(0o600)
    (open_folder / "config.toml").write_text("watch.settle_seconds = 0.05\n")
    # The first run imports everything, for the interpreter itself may be closed to others.
    code = (
        "import os, sys; from feefifod.cli.main import run_command_line; os.chdir(sys.argv[1]);"
        " run_command_line(['explain', 'XBTUSD_60.csv']); os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        " sys.exit(run_command_line(['explain', 'data/XBTUSD_60.csv']))"
    )

    result = subprocess.run(
        [sys.executable, "-c", code, str(open_folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/"},
    )

    assert result.returncode == 0, result
    assert "belongs to root with mode 0600" in result.stdout
    assert "chmod" in result.stdout
