"""Commands in processes that are forked from one that has imported everything: a second faster than from scratch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from feefifod import failpoint
from feefifod.cli.main import run_command_line
from tests.support.daemon import PATIENCE_SECONDS, Process, World

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [__name__, "tests.support.daemon", "feefifod.cli.run_once_command", "pandas", "questdb"]
)


class Forked(Process):
    """A feefifod command that runs beside the test."""

    def __init__(self, arguments: Sequence[str], config: Path, environment: Mapping[str, str], log_path: Path) -> None:
        log_path.touch()
        self.log_path = log_path
        self._forked = _CONTEXT.Process(target=_run, args=(list(arguments), config, dict(environment), log_path))
        self._forked.start()

    @property
    def pid(self) -> int:
        return self._forked.pid or 0

    @property
    def alive(self) -> bool:
        return self._forked.is_alive()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; returns the exit code."""
        self._forked.join(seconds)
        assert self._forked.exitcode is not None, f"it does not end:\n{self.text[-3000:]}"
        return self._forked.exitcode

    def kill(self) -> None:
        self._forked.kill()
        self._forked.join(10)


def _run(arguments: list[str], config: Path, environment: dict[str, str], log_path: Path) -> None:
    output = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment, FEEFIFOD_CONFIG=str(config))
    os.chdir(config.parent)
    # A process of its own reads this when it starts.
    vars(failpoint)["_CRASH_AT"] = failpoint._read(environment.get(failpoint.VARIABLE, ""))
    sys.exit(run_command_line(arguments))


def fork(world: World, *arguments: str, **environment: str) -> Forked:
    """Start a command of a world, as `World.start` does."""
    path = world.root / f"log-{len(world.processes)}.txt"
    process = Forked(arguments, world.config, world.environment | environment, path)
    world.processes.append(process)
    return process
