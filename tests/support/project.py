"""A folder with a configuration and the command line in it, for tests that act as a user does."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from feefifod.cli.main import run_command_line

ROOT = Path(__file__).resolve().parents[2]
FEEFIFOD = Path(sys.executable).with_name("feefifod")


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
class Project:
    """A user's folder; commands run in it, in this process, which saves a second of imports for each."""

    folder: Path
    table: str
    capsys: pytest.CaptureFixture[str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, *arguments: str) -> Outcome:
        """Run a command."""
        self.capsys.readouterr()
        code = run_command_line(["--config", str(self.folder / "config.toml"), *arguments])
        captured = self.capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def succeed(self, *arguments: str) -> Outcome:
        """Run a command that must end well."""
        outcome = self.run(*arguments)
        assert outcome.code == 0, outcome
        return outcome

    def drop(self, name: str, *rows: str) -> Path:
        """Put a file into the data folder."""
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{row}\n" for row in rows))
        return path


def candle(seconds: int, *, price: float = 122.0) -> str:
    """Write a candle as Kraken's archive has it."""
    return f"{seconds},{price},{price},{price},{price},0.1,1"
