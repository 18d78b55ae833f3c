"""What downloaders leave beside a file while it is not complete, though it has its final name already."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from feefifod.discover.parts import is_part, zip_name
from feefifod.discover.scan import Found
from feefifod.parse.names import is_temporary

# They tell how much of the file beside them is there, and go when it is whole; without that file's name at its end.
_CONTROLS: Final = (".aria2", ".st", ".lftp-pget-status")
# Chrome and WinSCP put an empty placeholder beside these, if anything: a CSV with rows there is another, earlier one.
_RENAMED: Final = (".crdownload", ".filepart")
_STALE_SECONDS: Final = 3600.0
_BETWEEN: Final = re.compile(r"(?:\.[A-Za-z0-9_-]{4,16})?")
"""Firefox (NAME.x8Kd2s-A.zip.part) and rclone (NAME.zip.1a2b3c4d.partial) put some letters of their own in."""


class Sibling(NamedTuple):
    """Something beside a file that says that it is still being loaded.

    Attributes:
        stale: it has not changed for so long that somebody should look.
    """

    reason: str
    stale: bool


class Siblings:
    """Looks for them, each folder once. A control file holds its file back as long as it is there.

    Any other temporary name holds the content itself, so that beside it only a placeholder, or an earlier file, has the
    final name: it holds that back for an hour since it last grew.
    """

    def __init__(self, wall: Callable[[], float], names: Callable[[str], Iterable[str]] | None = None) -> None:
        """Look with a clock, seconds since 1970.

        Args:
            names: gives the temporary names in a folder, where they are known; else the folder is listed.
        """
        self._wall = wall
        self._names = names
        self._folders: dict[str, list[str]] = {}

    def find(self, file: Found) -> Sibling | None:
        """Find what says that a file, or a part of a split zip, is still being loaded."""
        has_content = not file.parts and file.stamp is not None and file.stamp.size > 0
        for path in [part.path for part in file.parts] or [file.path]:
            folder, name = os.path.split(path)
            for sibling in self._list(folder):
                if has_content and sibling.lower().endswith(_RENAMED):
                    continue
                if _belongs(sibling, name) and (found := self._judge(os.path.join(folder, sibling), sibling)):  # noqa: PTH118 - any bytes are a name
                    return found
        return None

    def _list(self, folder: str) -> Iterable[str]:
        if self._names is not None:
            return self._names(folder)
        if folder not in self._folders:
            try:
                with os.scandir(folder) as entries:
                    self._folders[folder] = [entry.name for entry in entries if is_temporary(entry.name)]
            except OSError:
                self._folders[folder] = []  # Whether the file itself can be read is asked elsewhere.
        return self._folders[folder]

    def _judge(self, path: str, name: str) -> Sibling | None:
        try:
            status = os.lstat(path)
        except OSError:
            return None  # It went since it was listed.
        quiet = self._wall() - status.st_ctime
        control = name.lower().endswith(_CONTROLS)
        stale = quiet > _STALE_SECONDS
        if stale and not control:
            return None
        reason = f"{name} beside it says that it is still being loaded"
        if stale:
            reason += f", and has not changed for {quiet / 3600:.0f} h: remove that file if the download was given up"
        return Sibling(reason, stale)


def _belongs(sibling: str, name: str) -> bool:
    """Tell whether a temporary name is made of this name, or of that of the split zip that it is a part of."""
    wholes = {name, zip_name(name)} if is_part(name) else {name}
    return any(_is_made_of(sibling, whole) for whole in wholes)


def _is_made_of(sibling: str, name: str) -> bool:
    body, _, _ = sibling.rpartition(".")
    stem, dot, ending = name.rpartition(".")
    ending = dot + ending
    return (body.startswith(name) and _BETWEEN.fullmatch(body[len(name) :]) is not None) or (
        body.startswith(stem)
        and body.endswith(ending)
        and _BETWEEN.fullmatch(body[len(stem) : len(body) - len(ending)]) is not None
    )
