"""Commands in processes that are forked from one that has imported everything: a second faster than from scratch."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from feefifod import failpoint
from feefifod.cli.main import run_command_line

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [__name__, "tests.support.daemon", "feefifod.cli.run_once_command", "pandas", "questdb"]
)
_LONGEST_SECONDS: Final = 60.0


class Forked:
    """A command that has run to its end."""

    def __init__(self, arguments: Sequence[str], config: Path, environment: Mapping[str, str], log_path: Path) -> None:
        log_path.touch()
        self.log_path = log_path
        self._process = _CONTEXT.Process(target=_run, args=(list(arguments), config, dict(environment), log_path))
        self._process.start()
        self.pid = self._process.pid or 0
        self._process.join(_LONGEST_SECONDS)

    @property
    def code(self) -> int | None:
        """The exit code; None when it did not end."""
        return self._process.exitcode

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def text(self) -> str:
        return self.log_path.read_text(errors="surrogateescape")

    def kill(self) -> None:
        self._process.kill()
        self._process.join(10)


def _run(arguments: list[str], config: Path, environment: dict[str, str], log_path: Path) -> None:
    output = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment, FEEFIFOD_CONFIG=str(config))
    os.chdir(config.parent)
    # A process of its own reads this when it starts.
    vars(failpoint)["_CRASH_AT"] = failpoint._read(environment.get(failpoint.VARIABLE, ""))
    sys.exit(run_command_line(arguments))
