"""How things stand, for those who ask often: looked at when somebody asks, and not again for a moment."""

from __future__ import annotations

import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from feefifod.daemon import overview
from feefifod.errors import FeefifodError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from feefifod.catalog import Database
    from feefifod.config import PathSettings, QuestDBSettings, Settings
    from feefifod.daemon.overview import Document
    from feefifod.discover import Folder

FRESH_SECONDS: Final = 2.0
_SERVER_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 8.0
"""Prometheus gives up after 10 seconds; so do people."""

_LEAST_BYTES: Final = 1024**3
_LEAST_PART: Final = 0.05


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that a folder lies on."""

    free_bytes: int
    size_bytes: int

    @property
    def nearly_full(self) -> bool:
        """Whether less than 1 GiB is free, and less than 5 % of it."""
        return self.free_bytes < min(_LEAST_BYTES, _LEAST_PART * self.size_bytes)


@dataclass(frozen=True, slots=True)
class View:
    """A look at everything; `document` is None when that took too long or failed, which `trouble` then says."""

    document: Document | None
    disks: Mapping[str, Disk]
    trouble: str = ""

    def why_not_ready(self) -> Iterator[str]:
        """Yield what keeps files from being ingested now."""
        if self.trouble:
            yield self.trouble
        for name, disk in self.disks.items():
            if disk.nearly_full:
                yield f"the disk of paths.{name} is nearly full: {disk.free_bytes // 1024**2} MiB are free"
        if self.document is not None:
            for name in ("questdb", "postgres", "data"):
                if error := self.document[name]["error"]:
                    yield f"{name}: {error}"


@dataclass(slots=True)
class Outlook:
    """Looks at everything, once for all who ask at about the same time.

    Attributes:
        settings: the configuration; a reload replaces it.
        questdb, postgres: where the servers are, once they are open.
        folder: gives what is known of the data folder, once it is watched.
    """

    settings: Settings
    questdb: QuestDBSettings | None = None
    postgres: Database | None = None
    folder: Callable[[], Folder] | None = None
    _view: View | None = None
    _looked_at: float = 0.0
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def look(self) -> View:
        """Return how things stand, at most two seconds old. Never raises, and takes 8 seconds at most."""
        async with self._turn:
            if self._view is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._view = await self._look()
                self._looked_at = time.monotonic()
            return self._view

    async def _look(self) -> View:
        disks: dict[str, Disk] = {}
        try:
            with anyio.fail_after(_LOOK_SECONDS):
                disks = await to_thread.run_sync(measure_disks, self.settings.paths, abandon_on_cancel=True)
                document = await overview.gather(
                    self.settings,
                    self.questdb,
                    nullcontext(self.postgres) if self.postgres is not None else None,
                    folder=self.folder() if self.folder is not None else None,
                    look_seconds=_SERVER_SECONDS,
                )
        except TimeoutError:
            return View(None, disks, f"a look at servers and folders takes longer than {_LOOK_SECONDS:g} s")
        except (FeefifodError, OSError) as error:
            return View(None, disks, str(error))
        return View(document, disks)


def measure_disks(paths: PathSettings) -> dict[str, Disk]:
    """Measure the file systems of the folders that are there, by the name of the folder's setting."""
    disks = {}
    for name in ("data", "ingested", "state"):
        try:
            usage = shutil.disk_usage(getattr(paths, name))
        except OSError:
            continue
        disks[name] = Disk(usage.free, usage.total)
    return disks
