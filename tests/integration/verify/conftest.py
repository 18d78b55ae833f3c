from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from feefifod import log
from feefifod.cli.main import run_command_line
from feefifod.servers import Endpoints
from tests.support.daemon import World, database, describe
from tests.support.embedded import query, unique_name


@pytest.fixture
def world(pair: Endpoints, tmp_path: Path) -> Iterator[World]:
    """A folder with a table and a database of its own on the pair that all tests share."""
    with database(pair.postgres_dsn, unique_name("test")) as dsn:
        questdb = {"url": pair.questdb_url, "table": unique_name("prices"), "import_dir": str(pair.import_dir)}
        world = World(
            tmp_path / "feefifod",
            describe(questdb=questdb, postgres_url=dsn),
            questdb_url=pair.questdb_url,
            postgres_dsn=dsn,
        )
        yield world
        world.close()


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout, which must be the only thing there."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Bench:
    """Commands in a world, run in this process, and changes behind its back."""

    world: World
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str) -> Outcome:
        """Run a command."""
        self.capsys.readouterr()
        code = run_command_line(["--config", str(self.world.config), *arguments])
        captured = self.capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def verify(self, *arguments: str, code: int) -> Any:
        """Verify; returns the document."""
        outcome = self.run("verify", "--json", *arguments)
        assert outcome.code == code, outcome
        return outcome.document

    def load(self, files: dict[str, bytes]) -> None:
        """Drop files and ingest them; all must be loaded."""
        for name, content in files.items():
            self.world.drop(name, content)
        summary = self.world.ingest()
        assert not summary.failed, summary
        assert not any(self.world.data.rglob("*.csv"))

    def tamper(self, sql: str) -> None:
        """Change the table behind feefifod's back."""
        table = self.world.table
        query(self.world.questdb_url, sql.replace("TABLE_NAME", table))
        query(self.world.questdb_url, f"SELECT wait_wal_table('{table}')")

    def stored(self) -> list[Any]:
        """Read the table, by time."""
        rows: list[Any] = query(self.world.questdb_url, f"SELECT * FROM {self.world.table}")["dataset"]
        return rows


@pytest.fixture
def bench(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in [name for name in os.environ if name.startswith("FEEFIFOD")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(world.root)
    yield Bench(world, capsys)
    log.configure("warning", stream=sys.__stderr__)


def places(differences: Sequence[dict[str, Any]]) -> list[tuple[str, str, int, str | None]]:
    """Say where differences are."""
    return [(d["ticker"], d["quote"], d["interval_minutes"], d["month"]) for d in differences]
