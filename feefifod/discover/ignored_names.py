"""Names that are left alone: each is known with its reason, so that none is judged twice, and counted by it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from feefifod.parse.names import OTHER_ARCHIVE, is_temporary

_MOST_TOLD: Final = 20


class IgnoredNames:
    """Knows them by folder.

    Attributes:
        counts: how many files are left alone, by reason.
        folders: names and reasons in each folder that was listed.
        archives: those that are archives, but no zips, and were not told of yet: path and reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.folders: dict[str, dict[str, str]] = {}
        self.archives: list[tuple[str, str]] = []
        self._temporary: dict[str, set[str]] = {}

    def add(self, folder: str, name: str, reason: str) -> None:
        """Leave a name alone from now on."""
        self.folders[folder][name] = reason = sys.intern(reason)
        self.count(reason, 1)
        if is_temporary(name):
            self._temporary.setdefault(folder, set()).add(name)
        elif reason.startswith(OTHER_ARCHIVE) and len(self.archives) < _MOST_TOLD:
            self.archives.append((f"{folder}/{name}", reason))

    def remove(self, folder: str, name: str) -> bool:
        """Forget a name; tells whether it was one that programs give while they copy."""
        self.count(self.folders[folder].pop(name), -1)
        temporary = self._temporary.get(folder, set())
        held = name in temporary
        temporary.discard(name)
        return held

    def remove_folder(self, folder: str) -> None:
        """Forget a folder and all names in it."""
        for reason in self.folders.pop(folder).values():
            self.count(reason, -1)
        self._temporary.pop(folder, None)

    def count(self, reason: str, step: int) -> None:
        """Count files that are left alone for a reason."""
        self.counts[reason] += step
        if not self.counts[reason]:
            del self.counts[reason]

    def temporary(self, folder: str) -> Iterable[str]:
        """Return the names in a folder that programs give while they copy."""
        return self._temporary.get(folder, ())

    def has_temporary(self) -> bool:
        """Tell whether there is any such name."""
        return any(self._temporary.values())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield paths and reasons."""
        return ((f"{folder}/{name}", why) for folder, names in self.folders.items() for name, why in names.items())
