"""QuestDB's start, learnt once: Java keeps what it loaded and linked, and each later start takes half the time."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import ClassVar, Final

import anyio
import anyio.to_thread
import structlog

from feefifod.config.settings import EmbeddedSettings
from feefifod.errors import FeefifodError
from feefifod.servers import process
from feefifod.servers.artifact import find_learnt, keep_learnt, provide_questdb
from feefifod.servers.folder import prepare_state
from feefifod.servers.locks import try_lock
from feefifod.servers.questdb import QuestDB
from feefifod.servers.starting import Say

_LEARN_SECONDS: Final = 90.0
_ANY_PORTS: Final = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0)


class _Trial(QuestDB):
    """A QuestDB without data, started and stopped once; Java writes what it learnt when it ends (JEP 514)."""

    stop_seconds: ClassVar[float] = _LEARN_SECONDS

    @property
    def output(self) -> Path:
        return self.folder / "start.aot"

    async def command(self, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        line, environment = await super().command(numbers)
        return [line[0], f"-XX:AOTCacheOutput={self.output}", *line[1:]], environment


async def learn_start(spare: Path, say: Say) -> None:
    """Learn how QuestDB starts, unless that is known, or another command is about it; takes as long as two starts.

    Without it QuestDB starts just the same, only slower: what goes wrong here is logged, and tried again next time.

    Args:
        spare, say: see `provide_questdb`.

    Raises:
        Unavailable, ConfigError: there is no QuestDB.
    """
    jar = await provide_questdb(spare, say)
    if await anyio.to_thread.run_sync(find_learnt, jar) is not None:
        return
    lock = try_lock(jar.with_name("learn.lock"))
    if lock is None:
        return
    try:
        for killed in jar.parent.glob("learn-*/"):
            await _remove(_Trial(killed.resolve()))
        structlog.get_logger().info("learning how QuestDB starts, once")
        say("learning how QuestDB starts, once")
        trial = _Trial(prepare_state(Path(tempfile.mkdtemp(prefix="learn-", dir=jar.parent))), _ANY_PORTS)
        try:
            with anyio.fail_after(_LEARN_SECONDS):
                await trial.ensure(shared=False)
                await trial.stop()
            await anyio.to_thread.run_sync(keep_learnt, jar, trial.output)
        finally:
            with anyio.CancelScope(shield=True):
                await _remove(trial)
    except (FeefifodError, OSError) as error:  # TimeoutError is one of the latter.
        structlog.get_logger().warning("QuestDB's start was not learnt", error=str(error) or "it took too long")
    finally:
        os.close(lock)


async def _remove(trial: _Trial) -> None:
    """Stop it at once, for what it would still write is not wanted any more, and remove its folder."""
    await process.end(process.find_processes(trial.program, trial.folder), how=signal.SIGKILL, deadline_seconds=5.0)
    shutil.rmtree(trial.state, ignore_errors=True)
