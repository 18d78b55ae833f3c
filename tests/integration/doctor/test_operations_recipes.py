"""The recipes of docs/operations.md and docs/getting-started.md, carried out as they stand there, with real servers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from feefifod import log
from feefifod.cli.main import run_command_line
from tests.support import samples
from tests.support.daemon import wait_until
from tests.support.project import FEEFIFOD, ROOT

SHELL_SECONDS = 150
PORTS = {
    f"FEEFIFOD__EMBEDDED__{name}": value
    for name, value in (("HTTP_PORT", "0"), ("PG_WIRE_PORT", "0"), ("HEALTH_PORT", "0"), ("HEAP_MIB", "512"))
} | {"FEEFIFOD__HTTP__LISTEN": ""}


def find_blocks(page: str, heading: str) -> list[str]:
    """Return the shell blocks below a heading, up to the next one of its kind or above."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.search(rf"(?ms)^(#+) {re.escape(heading)}$(.*?)(?=^#{{1,3}} |\Z)", text)
    assert section, heading
    return re.findall(r"(?ms)^```sh\n(.*?)^```", section[2])


@dataclass
class Place:
    """A folder with a configuration, in which an operator types."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FEEFIFOD", "PG"))}
        path = os.pathsep.join([str(FEEFIFOD.parent), os.environ["PATH"]])
        return {**kept, **PORTS, **self.environ, "PATH": path}

    def type(self, *blocks: str) -> str:
        """Type blocks into one shell; all must succeed."""
        done = subprocess.run(
            ["/bin/sh", "-euc", "\n".join(blocks)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def ask(self, command: str) -> Any:
        """Ask for a JSON document, in this process, which saves seconds of imports."""
        out = io.StringIO()
        changes = {**PORTS, **self.environ}
        with mock.patch.dict(os.environ, changes), contextlib.chdir(self.folder), contextlib.redirect_stdout(out):
            code = run_command_line([*shlex.split(command), "--json"])
        assert code == 0, (command, out.getvalue())
        return json.loads(out.getvalue())


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    """Places whose servers are taken down afterwards, before their folders are removed."""
    made: list[Place] = []
    yield made
    log.configure("warning", stream=sys.__stderr__)
    for place in made:
        subprocess.run([FEEFIFOD, "servers", "down"], cwd=place.folder, env=place.environment, timeout=60, check=False)


def make_place(places: list[Place], folder: Path) -> Place:
    folder.mkdir()
    (folder / "config.toml").write_text("watch.settle_seconds = 0.05\n")
    places.append(Place(folder))
    return places[-1]


def fill(place: Place) -> list[Any]:
    """Load files and add what only a person or an API brings; returns the table."""
    (place.folder / "data").mkdir()
    for number, name in enumerate(("XBTUSD_60.csv", "ETHEUR_240.csv", "ADAUSD_1440.csv")):
        minutes = int(name.split("_")[1].removesuffix(".csv"))
        (place.folder / "data" / name).write_bytes(samples.file(200, interval=minutes, seed=number))
    (place.folder / "data" / "SOLUSD_60.csv").write_bytes(samples.file(5, interval=60) + b"nonsense\n")
    place.type(
        "feefifod servers up",
        "feefifod run-once",
        'feefifod create-asset --ticker AAPL --name "Apple Inc." --category STOCK',
        "feefifod query \"INSERT INTO assetprice SELECT 5, '2024-05-01', 1, 2, 1, 2, 9.5, 1440, 3, 'USD', 'massive'\"",
    )
    return read_table(place)


def read_table(place: Place) -> list[Any]:
    rows: list[Any] = place.ask('query "SELECT * FROM assetprice ORDER BY time, asset_id"')["rows"]
    return rows


def check(place: Place, before: list[Any]) -> None:
    """Make sure that nothing is missing, and that the ledger still knows what it knew."""
    assert read_table(place) == before
    assert len(before) == 606
    verified = place.ask("verify")
    assert (verified["equal"], verified["files"], verified["rows"]) == (True, 4, 605)
    assert {asset["ticker"] for asset in place.ask("assets list")} == {"BTC", "ETH", "ADA", "SOL", "AAPL"}
    (place.folder / "data" / "XBTUSD_60.csv").write_bytes(samples.file(200, interval=60, seed=0))
    place.type("feefifod run-once")
    assert place.ask("status")["files"]["duplicate"] == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_backup_and_restore(places: list[Place], tmp_path: Path) -> None:
    home = make_place(places, tmp_path / "home of feefifod")
    before = fill(home)
    home.environ["BACKUP"] = str(tmp_path / "the backup")

    home.type(*find_blocks("operations.md", "Embedded servers, while they run"))

    # What comes in after the backup is lost with the disk.
    (home.folder / "data" / "XRPUSD_60.csv").write_bytes(samples.file(10, interval=60))
    home.type("feefifod run-once", "feefifod servers down")
    config = (home.folder / "config.toml").read_bytes()
    shutil.rmtree(home.folder)
    (home.folder / "data").mkdir(parents=True)
    (home.folder / "config.toml").write_bytes(config)

    home.type(*find_blocks("operations.md", "Embedded servers: restore"))

    assert not (home.folder / ".feefifod/questdb/_restore").exists()
    check(home, before)
    assert (home.folder / "rejected/SOLUSD_60.csv.rows.csv").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_another_partitioning(places: list[Place], tmp_path: Path) -> None:
    home = make_place(places, tmp_path / "home")
    home.environ["FEEFIFOD__DATABASES__QUESTDB__PARTITION_BY"] = "DAY"
    before = fill(home)

    said = home.type(*find_blocks("operations.md", "Another partitioning"))

    assert "was partitioned by DAY, and is by MONTH now: 606 rows proven equal" in " ".join(said.split())
    check(home, before)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_embedded_to_external(places: list[Place], tmp_path: Path) -> None:
    """The external pair is an embedded one of somebody else."""
    home, other = make_place(places, tmp_path / "home"), make_place(places, tmp_path / "other")
    before = fill(home)
    other.type("feefifod servers up")
    access = dict(re.findall(r"export (\w+)=(\S+)", other.type("feefifod servers env")))
    password = (other.folder / ".feefifod/servers/postgres.password").read_text().strip().rpartition(":")[2]
    door = (other.folder / ".feefifod/servers/questdb.password").read_text().strip()
    created = other.type('eval "$(feefifod servers env)"', 'psql -Atqc "CREATE DATABASE moved" && echo made')
    assert "made" in created
    stop_questdb(other)
    home.environ |= {
        "NEW_POSTGRES": f"postgresql://feefifod:{password}@127.0.0.1:{access['PGPORT']}/moved",
        "NEW_QUESTDB": access["QUESTDB_URL"],
        "FEEFIFOD__DATABASES__QUESTDB__USER": access["QUESTDB_USER"],
        "FEEFIFOD__DATABASES__QUESTDB__PASSWORD": door,
        "NEW_QUESTDB_ROOT": access["QUESTDB_ROOT"],
    }
    move, prove = find_blocks("operations.md", "From embedded to external servers")

    home.type(move)
    assert not home.ask("servers status")["questdb"]
    other.environ["FEEFIFOD__EMBEDDED__HTTP_PORT"] = access["QUESTDB_URL"].rpartition(":")[2]
    other.type("feefifod servers up")
    home.type(prove)

    check(home, before)
    assert password not in home.type("feefifod config show")
    assert not home.ask("servers status")["postgres"], "nothing of the old pair was started again"


def stop_questdb(place: Place) -> None:
    """Stop QuestDB and leave PostgreSQL running, as an operator of two services can."""
    pid = place.ask("servers status")["questdb"]["pid"]
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: place.ask("servers status")["questdb"] is None, what="the end of QuestDB")


@pytest.mark.timeout(300)
def test_getting_started(places: list[Place], tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "docs").mkdir(parents=True)
    shutil.copytree(ROOT / "docs/sample", checkout / "docs/sample")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/feefifod").symlink_to(FEEFIFOD)
    install, run = find_blocks("getting-started.md", "1. Install and start")
    assert run == "feefifod run\n"
    Place(checkout).type(*(line for line in install.splitlines() if not line.startswith("make install")))
    place = Place(checkout / "try")
    places.append(place)
    output_path = tmp_path / "log"
    with output_path.open("wb") as output:
        daemon = subprocess.Popen(
            [FEEFIFOD, "run"], cwd=place.folder, env=place.environment, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: "watching" in output_path.read_text(), what="watching")
        copy, look, explain = find_blocks("getting-started.md", "2. Drop files")
        place.type(copy)
        wait_until(lambda: len(list((place.folder / "ingested/ohlcv").glob("*"))) == 3, what="three files")
        assert "BTC" not in place.type(look)
        assert "trade" in place.type(explain)
        care = find_blocks("getting-started.md", "3. Look after it")
        shown = place.type(*(line for block in care for line in block.splitlines() if "top" not in line))
        assert "holds exactly what was loaded: 3 series, 3 files" in shown
        [asset] = find_blocks("getting-started.md", "4. Prices from an API")
        place.type(asset.splitlines()[0])
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(40) == 0, output_path.read_text()[-2000:]
