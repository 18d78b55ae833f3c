"""Folders that cannot be looked into: passed over, and named once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from feefifod.parse.line import escape

REMEDY: Final = (
    "Give feefifod the right to list and enter it, or mount it anew, or move it out of the data folder;"
    " what lies in it is not loaded until then"
)
_MOST_LOGGED: Final = 20


@dataclass(slots=True)
class ClosedFolders:
    """The folders that the last scan passed over, by path, and why."""

    folders: dict[str, str] = field(default_factory=dict)

    def update(self, found: Mapping[str, str]) -> None:
        """Take what a scan has found, and log what has changed since the one before."""
        log = structlog.get_logger()
        changed = [path for path, reason in found.items() if self.folders.get(path) != reason]
        for path in changed[:_MOST_LOGGED]:
            log.warning("folder_passed_over", folder=show_path(path), reason=found[path], remedy=REMEDY)
        if len(changed) > _MOST_LOGGED:
            log.warning("folders_passed_over", more=len(changed) - _MOST_LOGGED, remedy=REMEDY)
        for path in [path for path in self.folders if path not in found][:_MOST_LOGGED]:
            log.info("folder_looked_into_again", folder=show_path(path))
        self.folders = dict(found)

    def holds(self, path: bytes) -> bool:
        """Tell whether a path lies where nothing can be seen now."""
        return any(path == (place := os.fsencode(folder)) or path.startswith(place + b"/") for folder in self.folders)


def show_path(path: str) -> str:
    """Return a path, printable."""
    return escape(os.fsencode(path))
