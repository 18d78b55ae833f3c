"""SIGHUP, or a changed file: the configuration is read again, and what can change without a restart changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

from feefifod import log
from feefifod.config import flatten, write_path
from feefifod.errors import ConfigError

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterable, Callable
    from pathlib import Path

    from feefifod.config import Settings
    from feefifod.notify import Notifier

_CHANGEABLE: Final = ("watch", "tiers", "schedules", "sources", "alerts", "retention", "log")
_FIXED: Final = frozenset({"watch.poll"})
"""The watcher of the folder is made once."""

_LOOK_SECONDS: Final = 2.0


@dataclass(slots=True)
class Reloader:
    """Reads the configuration again when told to.

    Args:
        read: reads it as at the start.
        apply: makes what can change as it is in these settings.
        stop: set when the daemon drains; nothing changes any more then.
    """

    settings: Settings
    read: Callable[[], Settings]
    apply: Callable[[Settings], None]
    notifier: Notifier
    stop: anyio.Event

    async def run(self, hangups: AsyncIterable[signal.Signals]) -> None:
        """Reload once for every signal, until cancelled."""
        async for _ in hangups:
            self._announce()

    async def follow(self, file: Path | None) -> None:
        """Reload once for every change of the file, while the configuration asks for that; until cancelled.

        A change counts when it has been the same for two looks, so that nobody is read while he writes.
        """
        known = await to_thread.run_sync(_stamp, file)
        before = known
        while file is not None:
            await anyio.sleep(_LOOK_SECONDS)
            now = await to_thread.run_sync(_stamp, file)
            if now is not None and now != known and now == before:
                known = now
                if self.settings.watch.config:
                    self._announce()
            before = now

    def _announce(self) -> None:
        if not self.stop.is_set():
            self.notifier.reloading()
            self.reload()
            self.notifier.ready()

    def reload(self) -> None:
        """Read the configuration; a wrong one changes nothing, and the log says what is wrong."""
        logger = structlog.get_logger()
        try:
            read = self.read()
        except ConfigError as error:
            logger.warning("reload_refused", reason=error.why, where=error.where, remedy=error.remedy)
            return
        for secret in read.secrets():
            log.register_secret(secret)
        changed = find_changes(self.settings, read)
        fixed = [key for key in changed if key in _FIXED or key.split(".")[0] not in _CHANGEABLE]
        new = self.settings.model_copy(update={name: getattr(read, name) for name in _CHANGEABLE})
        self.apply(new)
        log.set_level(new.log.level)
        self.settings = new
        logger.info("reloaded", changed=[key for key in changed if key not in fixed])
        if fixed:
            logger.warning("reload_incomplete", unchanged=fixed, remedy="These change with a restart only")


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Return what changes with a file's content; None while it is away."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if status is not None else None


def find_changes(old: Settings, new: Settings) -> list[str]:
    """Name the keys whose values differ; values are not told, for some are secret."""
    before, after = (
        {write_path(path): value for path, value in flatten(settings.model_dump())} for settings in (old, new)
    )
    return sorted(key for key in before | after if before.get(key) != after.get(key))
