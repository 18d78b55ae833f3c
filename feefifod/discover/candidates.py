"""The wanted files of the data folder: which are complete, and when each of the others is worth another look."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from feefifod.discover.parts import fold_zips, is_part, zip_name
from feefifod.discover.scan import Found
from feefifod.discover.settle import Settlement, Settler
from feefifod.discover.siblings import Siblings
from feefifod.model import FileStamp
from feefifod.parse.names import Kind, judge

_LEAST_WAIT_SECONDS: Final = 0.02
_NEVER: Final = float("inf")
_UNSEEN: Final = Settlement(False, "it was found a moment ago")


@dataclass(slots=True)
class Candidate:
    """A file that is wanted, or a zip.

    Attributes:
        since: since when it has been as it is; judged: when it was judged; due: when it is worth another look.
    """

    found: Found
    stamp: FileStamp
    since: float
    settlement: Settlement = _UNSEEN
    judged: float = -_NEVER
    due: float = 0.0


@dataclass(slots=True)
class Sight:
    """What a look showed.

    Attributes:
        complete: what can be taken, in the order in which it became complete.
        waiting: what is not complete yet, where that was asked for.
        due_seconds: when a waiting file is worth another look, or None.
        scanned: whether everything was listed.
    """

    complete: list[Found] = field(default_factory=list)
    waiting: list[tuple[Found, Settlement]] = field(default_factory=list)
    due_seconds: float | None = None
    scanned: bool = False


class Candidates:
    """Knows them by key: the path, and for a split zip what its parts have in common.

    Attributes:
        now: the time of this look. busy: paths that are in work, which are never due.
        gone: paths that are there no more.
    """

    def __init__(self, settler: Settler, siblings: Siblings, clock: Callable[[], float]) -> None:
        self._settler = settler
        self._siblings = siblings
        self._clock = clock
        self.now = clock()
        self.busy: Collection[str] = ()
        self.gone: set[str] = set()
        self._parts: dict[str, set[str]] = {}
        self._all: dict[str, Candidate] = {}
        self._ready: dict[str, None] = {}
        self._due: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all.values())

    def begin(self, busy: Collection[str]) -> None:
        """Begin a look: what is found in it is found at one time."""
        self.now, self.busy = self._clock(), busy

    def get(self, path: str) -> Candidate | None:
        """Return the candidate that a file is, or is a part of."""
        return self._all.get(_key(path))

    def paths(self, path: str) -> tuple[str, ...]:
        """Return the files of the candidate that a file is, or is a part of."""
        return tuple(self._parts.get(_key(path), (path,)))

    def change(self, path: str, known: Mapping[str, Found]) -> None:
        """Take note that a file has come, changed or gone, given all that is known."""
        key = _key(path)
        files = [known[path]] if path in known else []
        if key != path:
            parts = self._parts.setdefault(key, set())
            (parts.add if path in known else parts.discard)(path)
            files = [known[part] for part in parts]
            if not parts:
                del self._parts[key]
        if files and files[0].verdict.kind is Kind.ZIP:
            files = fold_zips(files)
        found = files[0] if files else None
        before = self._all.pop(key, None)
        self._ready.pop(key, None)
        if before is not None and (found is None or found.path != before.found.path):
            self.gone.add(before.found.path)
        if found is not None and found.stamp is not None:
            same = before is not None and before.stamp == found.stamp
            since = before.since if same and before is not None else self.now
            self._all[key] = Candidate(found, found.stamp, since)
            self.gone.discard(found.path)
            self._set_due(key, self.now)

    def hasten(self, path: str) -> None:
        """Have a candidate judged in this look."""
        if _key(path) in self._all:
            self._set_due(_key(path), self.now)

    def hasten_waiting(self, folder: str) -> None:
        """Have all that is not complete in a folder judged in this look: a name beside it has gone."""
        for key in [key for key in self._all if key not in self._ready and key.rpartition("/")[0] == folder]:
            self._set_due(key, self.now)

    def take_due(self) -> Iterator[str]:
        """Yield a path of each candidate that is to be judged now; it has to be."""
        while self._due and self._due[0][0] <= self.now:
            due, key = heapq.heappop(self._due)
            if self._is_due(key, due):
                yield self._all[key].found.path

    def judge(self, path: str) -> Candidate | None:
        """Judge a candidate whose files are known as they are now; None when there is no such one any more."""
        key = _key(path)
        candidate = self._all.get(key)
        if candidate is None:
            return None
        candidate.settlement = self._settler.settle(candidate.found, candidate.stamp, candidate.since, self._siblings)
        candidate.judged = self.now
        if candidate.settlement.complete:
            candidate.due = _NEVER
            self._ready.setdefault(key)
        else:
            self._set_due(key, self.now + max(candidate.settlement.wait_seconds, _LEAST_WAIT_SECONDS))
        return candidate

    def due_seconds(self) -> float | None:
        """Return when the next one is worth another look, or None."""
        while self._due:
            due, key = self._due[0]
            if self._is_due(key, due):
                return max(due - self._clock(), 0.0)
            heapq.heappop(self._due)
        return None

    def complete(self) -> list[Found]:
        """Return what can be taken, in the order in which it became complete."""
        ready = (self._all[key].found for key in self._ready)
        return [found for found in ready if found.path not in self.busy]

    def waiting(self) -> list[tuple[Found, Settlement]]:
        """Return what is not complete yet, by path."""
        others = [self._all[key] for key in sorted(self._all) if key not in self._ready]
        return [(one.found, one.settlement) for one in others if one.found.path not in self.busy]

    def _is_due(self, key: str, due: float) -> bool:
        candidate = self._all.get(key)
        return candidate is not None and candidate.due == due and candidate.found.path not in self.busy

    def _set_due(self, key: str, due: float) -> None:
        self._ready.pop(key, None)
        self._all[key].due = due
        heapq.heappush(self._due, (due, key))


def _key(path: str) -> str:
    """Return what the parts of a split zip have in common; one with a refused name is a file for itself."""
    if not is_part(path) or judge(PurePath(PurePath(path).name)).kind is not Kind.ZIP:
        return path
    return f"{zip_name(path)}.part"
