"""What is known of the data folder: a name is judged once, and a file looked at again when it may have changed.

A look costs what has changed, not what the folder holds. What is ignored for its name costs a place in a dictionary
and is never opened; the others are judged when an event names them, and when the reason for waiting may be over.
Events get lost, so everything is listed again every `rescan_seconds`: names that are known cost next to nothing then.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Final

from feefifod.config import WatchSettings
from feefifod.discover.candidates import Candidate, Candidates, Sight
from feefifod.discover.ignored_names import IgnoredNames
from feefifod.discover.scan import TOO_DEEP, Found, cannot_list, descends, describe, explain_closed
from feefifod.discover.settle import Settler
from feefifod.discover.siblings import Siblings
from feefifod.parse.names import Verdict, judge
from feefifod.pulse import beat

_CPU_SHARE: Final = 50
"""After a scan that took a second of a core, there is none for this many seconds."""
_TIME_SHARE: Final = 4
"""The same for a scan that mostly waits, on a network file system say."""
_HURRY_SECONDS: Final = 1.0
"""A folder that is new, or was renamed, is listed at once, and again after this: its watch may have come in between."""
_LOST_SECONDS: Final = 3.0
"""The same after a watcher was lost: by then there is another one."""
_FRESH_SECONDS: Final = 0.5
"""A judgement that is younger is as good as a new one."""
_NEVER: Final = float("inf")
_GONE: Final = (FileNotFoundError, NotADirectoryError)
_MOST_LOOKED_THROUGH: Final = 20_000


class Folder:
    """Knows a data folder. All methods block and are meant for worker threads; they take turns.

    Args:
        root: the folder.
        watch: when a file is complete.
        why_unwanted: says why a file of this name is left alone, "" when it is wanted. Asked once for each name.

    Attributes:
        closed: folders below (and single entries) that could not be looked at by the last scan, and why.
        identity: device and inode of the root when it was last listed; None before that.
        trouble: why the root could not be listed at the last try.
    """

    def __init__(
        self,
        root: str,
        watch: WatchSettings,
        why_unwanted: Callable[[Verdict], str],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.closed: dict[str, str] = {}
        self.identity: tuple[int, int] | None = None
        self.trouble = ""
        self._why_unwanted = why_unwanted
        self._clock = clock
        self._names = IgnoredNames()
        self._siblings = Siblings(wall, self._names.temporary)
        self._candidates = Candidates(Settler(watch, clock=clock, wall=wall), self._siblings, clock)
        self._known: dict[str, Found] = {}  # All other files.
        self._every = max(watch.settle_seconds, 0.3) / 2 if watch.poll else watch.rescan_seconds
        self._next_scan = self._rest_until = -_NEVER
        self._second_scan = clock() + _HURRY_SECONDS
        self._turn = threading.Lock()

    @property
    def ignored(self) -> Counter[str]:
        """How many files are left alone, by reason."""
        return self._names.counts

    @property
    def wanted(self) -> int:
        """How many files are to be ingested, complete or not; those in work are among them."""
        return len(self._candidates)

    @property
    def scan_seconds(self) -> float:
        """Return when everything is to be listed again."""
        return max(self._next_scan, self._rest_until) - self._clock()

    def look(
        self,
        changed: Iterable[str] = (),
        *,
        released: Iterable[str] = (),
        busy: Collection[str] = (),
        lost: bool = False,
        whole: bool = False,
        with_waiting: bool = False,
    ) -> Sight:
        """Bring what is known up to date.

        Args:
            changed: paths that something may have happened to.
            released: paths that were in work: they have moved, or are judged anew.
            busy: paths that are in work: they are not judged, and are not in what is returned.
            lost: something may have happened to any path.
            whole: list everything now; else that is done when it is time.
            with_waiting: tell of what is not complete, too.

        Raises:
            Refused: the folder cannot be listed.
        """
        with self._turn:
            candidates = self._candidates
            candidates.begin(busy)
            if lost:
                self._next_scan, self._second_scan = candidates.now, candidates.now + _LOST_SECONDS
            scanned = whole or self.scan_seconds <= 0
            if scanned:
                self._scan()
            for path in released:
                self._touch(path, in_work=True)
            for path in changed:
                self._touch(path)
            for path in candidates.take_due():
                self._judge(path)
                beat()
            waiting = candidates.waiting() if with_waiting else []
            return Sight(candidates.complete(), waiting, candidates.due_seconds(), scanned)

    def confirm(self, paths: Iterable[str]) -> set[str]:
        """Return which of these complete files still are, after another look at those judged a while ago."""
        with self._turn:
            self._candidates.begin(self._candidates.busy)
            confirmed = set()
            for path in paths:
                candidate = self._candidates.get(path)
                if candidate is not None and self._candidates.now - candidate.judged > _FRESH_SECONDS:
                    candidate = self._judge(path)
                if candidate is not None and candidate.settlement.complete:
                    confirmed.add(path)
            return confirmed

    def take_gone(self) -> set[str]:
        """Return the paths of candidates that vanished since the last call, but for those that were in work."""
        with self._turn:
            gone, self._candidates.gone = self._candidates.gone, set()
            return gone

    def take_archives(self) -> list[tuple[str, str]]:
        """Return archives that are no zips and were seen since the last call, and what to do: their owners wait."""
        taken, self._names.archives = self._names.archives, []
        return taken

    def name_downloads(self, most: int) -> list[tuple[str, str]]:
        """Return a few files that are held back by what a downloader has put beside them, and why."""
        with self._turn:
            if not self._names.has_temporary():
                return []
            held = ((one.found, self._siblings.find(one.found)) for one in self._candidates)
            return list(islice(((found.path, beside.reason) for found, beside in held if beside), most))

    def name_ignored(self, most: int) -> dict[str, list[str]]:
        """Return the paths of a few files that are left alone, by reason."""
        with self._turn:
            named: dict[str, list[str]] = {}
            lacking = len(self.ignored)
            strange = ((path, found.obstacle) for path, found in self._known.items() if found.stamp is None)
            for path, reason in islice(chain(strange, self._names), _MOST_LOOKED_THROUGH):
                paths = named.setdefault(reason, [])
                if len(paths) < most:
                    paths.append(path)
                    lacking -= len(paths) == most
                    if not lacking:
                        break
            return named

    def list_wanted(self) -> list[str]:
        """Return the paths of all that is wanted, complete or not."""
        with self._turn:
            return [candidate.found.path for candidate in self._candidates]

    def hurry(self, seconds: float = _HURRY_SECONDS) -> None:
        """List everything soon: something may have been missed."""
        self._next_scan = min(self._next_scan, self._clock() + seconds)

    def _scan(self) -> None:
        cpu, started = time.thread_time(), self._clock()
        folders: set[str] = set()
        files: set[str] = set()
        self.closed = {}
        try:
            status = os.stat(self.root)  # noqa: PTH116 - any bytes are a name
            self._list(self.root, 0, folders, files)
        except OSError as error:
            refusal = cannot_list(self.root, error)
            self.trouble = str(refusal)
            raise refusal from error
        self.trouble = ""
        self.identity = (status.st_dev, status.st_ino)
        for path in [path for path in self._known if path not in files]:
            self._forget(path)
            if any(path.startswith(f"{place}/") or path == place for place in self.closed):
                self._candidates.gone.discard(path)  # Nothing can be seen there; it may be there still.
        for folder in [folder for folder in self._names.folders if folder not in folders]:
            self._names.remove_folder(folder)
        now = self._clock()
        self._next_scan = now + self._every
        if self._second_scan > now:
            self._next_scan = min(self._next_scan, self._second_scan)
        self._rest_until = now + max(_CPU_SHARE * (time.thread_time() - cpu), _TIME_SHARE * (now - started))

    def _list(self, folder: str, depth: int, folders: set[str], files: set[str]) -> None:
        """List a folder and those below it."""
        below: list[str] = []
        with os.scandir(folder) as entries:
            folders.add(folder)
            names = self._names.folders.setdefault(folder, {})
            left = len(names)
            for entry in entries:
                known = entry.name in names
                left -= known
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if known:
                            self._stop_ignoring(folder, entry.name)
                        self._note_folder(entry, depth, below)
                    elif not known and (verdict := self._judge_name(entry.path)):
                        self._take(entry.path, verdict, entry.stat(follow_symlinks=False))
                        files.add(entry.path)
                except FileNotFoundError:
                    continue  # It was moved or removed since it was listed.
                except PermissionError:
                    raise  # What may be listed and not be entered: so it is for each name in it.
                except OSError as error:
                    self.closed[entry.path] = explain_closed(error)
        if left > 0:
            here = set(os.listdir(folder))  # noqa: PTH208 - any bytes are a name
            for name in [name for name in names if name not in here]:
                self._stop_ignoring(folder, name)
        beat()
        for path in below:
            try:
                self._list(path, depth + 1, folders, files)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                self.closed[path] = explain_closed(error)

    def _note_folder(self, entry: os.DirEntry[str], depth: int, below: list[str]) -> None:
        if descends(entry.name, depth):
            below.append(entry.path)
        elif descends(entry.name, 0):
            self.closed[entry.path] = TOO_DEEP

    def _judge_name(self, path: str) -> Verdict | None:
        """Return the verdict on a name that is wanted; None when it is left alone, which is then known."""
        if path in self._known:
            return self._known[path].verdict
        beat()
        verdict = judge(PurePosixPath(path[len(self.root) + 1 :]))
        if not (reason := self._why_unwanted(verdict)):
            return verdict
        folder, _, name = path.rpartition("/")
        self._names.add(folder, name, reason)
        return None

    def _take(self, path: str, verdict: Verdict, status: os.stat_result) -> None:
        """Take note of a file as it is now."""
        before, found = self._known.get(path), describe(path, status, verdict)
        if found != before:
            self._count_strange(before, -1)
            self._count_strange(found, 1)
            self._known[path] = found
            self._candidates.change(path, self._known)

    def _touch(self, path: str, *, in_work: bool = False) -> None:
        """Look at a path again that something may have happened to."""
        folder, _, name = path.rpartition("/")
        try:
            status = os.lstat(path)
        except OSError as error:
            if path == self.root or path in self._names.folders or not isinstance(error, _GONE):
                self.hurry(0.0)  # A folder was removed or renamed, or nothing can be seen there any more.
            elif name in self._names.folders.get(folder, ()):
                self._stop_ignoring(folder, name)
            else:
                self._forget(path, in_work=in_work)
            return
        if stat.S_ISDIR(status.st_mode):
            self._touch_folder(path, name)
        elif folder not in self._names.folders:
            if not path.startswith(f"{self.root}/") or _is_seen(path[len(self.root) + 1 :]):
                self.hurry()
        elif name not in self._names.folders[folder] and (verdict := self._judge_name(path)):
            self._take(path, verdict, status)
            self._candidates.hasten(path)

    def _touch_folder(self, path: str, name: str) -> None:
        depth = path.count("/") - self.root.count("/")
        if path != self.root and (not _is_seen(path[len(self.root) + 1 :]) or not descends(name, depth - 1)):
            return
        if path not in self._names.folders and path != self.root:
            with contextlib.suppress(OSError):  # The scan finds out what there is to say of it.
                self._list(path, depth, set(), set())
        self.hurry()

    def _judge(self, path: str) -> Candidate | None:
        """Look at a candidate as it is now, and judge it; None when there is no such one any more."""
        for part in self._candidates.paths(path):
            try:
                self._take(part, self._known[part].verdict, os.lstat(part))
            except (*_GONE, KeyError):
                self._forget(part)
            except OSError:
                self.hurry(0.0)  # Nothing can be seen there now; the scan says why.
        return self._candidates.judge(path)

    def _forget(self, path: str, *, in_work: bool = False) -> None:
        found = self._known.pop(path, None)
        if found is not None:
            self._count_strange(found, -1)
            self._candidates.change(path, self._known)
            if in_work or path in self._candidates.busy:
                self._candidates.gone.discard(path)

    def _stop_ignoring(self, folder: str, name: str) -> None:
        if self._names.remove(folder, name):
            self._candidates.hasten_waiting(folder)  # What it held back may be complete.

    def _count_strange(self, found: Found | None, step: int) -> None:
        """Count what has a wanted name and is no regular file."""
        if found is not None and found.stamp is None:
            self._names.count(found.obstacle, step)


def _is_seen(relative: str) -> bool:
    """Tell whether the folders that a path lies in are looked into."""
    folders = relative.split("/")[:-1]
    return all(descends(name, depth) for depth, name in enumerate(folders))
