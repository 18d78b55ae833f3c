from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.embedded import servers_below

ROOT = Path(__file__).resolve().parents[3]


class User:
    """A process of `user.py`, started when its servers answer."""

    def __init__(self, state: Path, *arguments: str, environment: dict[str, str], before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, str(Path(__file__).with_name("user.py")), str(state), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        # Log lines may come before it.
        for line in self.process.stdout:
            if line.startswith(b"{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError(f"the user ended with {self.process.wait()}")

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0
        self.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)
        self.close()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def tmp() -> Iterator[Path]:
    """A folder that everybody may pass through (pytest's own is closed), in which no server survives the test."""
    folder = Path(tempfile.mkdtemp(prefix="feefifod-test-")).resolve()
    folder.chmod(0o755)
    yield folder
    left = servers_below(folder)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=10)
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture
def state(tmp: Path) -> Path:
    return tmp / "state"


@pytest.fixture
def start_user(state: Path) -> Iterator[Callable[..., User]]:
    """Start users of the pair on `state`; those that are left are killed."""
    users: list[User] = []

    def start(*arguments: str, **options: Any) -> User:
        user = User(options.pop("state", state), *arguments, environment=options.pop("environment", {}), **options)
        users.append(user)
        return user

    yield start
    for user in users:
        if user.process.poll() is None:
            user.kill()
