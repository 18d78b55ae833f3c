"""Zips as they are dropped: whole, or split into numbered parts that are read as one without being joined."""

from __future__ import annotations

import errno
import io
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from feefifod.errors import BadInput
from feefifod.model import FileStamp
from feefifod.parse.names import Kind, split_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from feefifod.discover.scan import Found

_PART: Final = re.compile(r"(?P<zip>.+\.zip)\.part(?P<number>[0-9]{1,6})", re.DOTALL)
_SUMS_SUFFIX: Final = "SHA256SUMS.txt"
_SUM: Final = re.compile(r"(?P<sha256>[0-9a-fA-F]{64}) [ *](?:\./)?(?P<name>[^/\r\n]+)\r?\n?")
_MOST_SUMS_BYTES: Final = 1024 * 1024
_MOST_READ_BYTES: Final = 8 * 1024 * 1024


class Part(NamedTuple):
    """One file of a zip."""

    path: str
    stamp: FileStamp


def zip_name(name: str) -> str:
    """Return the name of the zip that a file is, or is a part of."""
    part = _PART.fullmatch(name)
    return part["zip"] if part else name


def is_part(name: str) -> bool:
    """Tell whether a file is a part of a split zip."""
    return _PART.fullmatch(name) is not None


def fold_zips(found: Iterable[Found]) -> list[Found]:
    """Make one of the parts of each split zip, under the path of the first; give every zip its parts.

    The stamp of a split zip is that of its first part, with the sum of sizes and the latest times.
    """
    folded: list[Found] = []
    groups: dict[str, list[Found]] = {}
    for item in found:
        if item.verdict.kind is not Kind.ZIP:
            folded.append(item)
        elif is_part(item.path):
            groups.setdefault(zip_name(item.path), []).append(item)
        else:
            folded.append(replace(item, parts=(Part(item.path, item.stamp),)) if item.stamp else item)
    folded += map(_fold, groups.values())
    return sorted(folded, key=lambda item: item.path)


def _fold(parts: list[Found]) -> Found:
    parts.sort(key=lambda part: (_number(part.path), part.path))
    first, stamps = parts[0], [part.stamp for part in parts if part.stamp]
    if obstacle := next((f"{PurePath(p.path).name}: {p.obstacle}" for p in parts if p.obstacle), ""):
        first = replace(first, obstacle=obstacle)
    if len(stamps) < len(parts):
        return replace(first, stamp=None)
    stamp = replace(
        stamps[0],
        size=sum(stamp.size for stamp in stamps),
        mtime_ns=max(stamp.mtime_ns for stamp in stamps),
        ctime_ns=max(stamp.ctime_ns for stamp in stamps),
    )
    together = tuple(Part(part.path, part_stamp) for part, part_stamp in zip(parts, stamps, strict=True))
    return replace(first, stamp=stamp, parts=together)


def find_gap(parts: Sequence[Part]) -> str:
    """Return which part is missing, or there twice, among those of a split zip; "" when none is."""
    for expected, part in enumerate(parts):
        number = _number(part.path)
        if number > expected:
            return f"part {expected:02} is missing; waiting for it"
        if number < expected:
            return f"part {number:02} is there twice, in two spellings"
    return ""


def _number(path: str) -> int:
    part = _PART.fullmatch(path)
    return int(part["number"]) if part else 0


def list_parts(path: str) -> list[str]:
    """Return the paths of a zip's parts that lie beside each other now, in order; of a whole zip, its own."""
    folder, name = os.path.split(path)
    if not is_part(name):
        return [path]
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_part(entry.name) and zip_name(entry.name) == zip_name(name)]
    return [os.path.join(folder, name) for name in sorted(names, key=_number)]  # noqa: PTH118 - any bytes are a name


def name_parts(parts: Sequence[str], folder: Path, stamp: FileStamp) -> list[str]:
    """Return names for the parts of a split zip in the folder that they go to.

    These are their own names or, where one is taken, all get the same time: only so are they one zip there, too.
    It is the time of the drop, so that after a crash in mid-move the others get the names that were meant for them.
    """
    names = [PurePath(part).name for part in parts]
    time = datetime.fromtimestamp(stamp.ctime_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    stamped = [f"{stem}.{time}{ending}" for stem, ending in map(split_stamp, names)]
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    begun = any(is_part(name) and zip_name(name) == zip_name(stamped[0]) for name in here)
    return stamped if begun or here.intersection(names) else names


def read_sums(folder: str, open_file: Callable[[str], int]) -> dict[str, str]:
    """Return the SHA-256 of files, in hexadecimal by name, that the lists in a folder (`*SHA256SUMS.txt`) tell."""
    sums: dict[str, str] = {}
    with os.scandir(folder) as entries:
        lists = sorted(entry.path for entry in entries if entry.name.endswith(_SUMS_SUFFIX))
    for path in lists:
        try:
            fd = open_file(path)
        except OSError:
            continue  # Nothing that can be read speaks against the zip.
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            text = file.read(_MOST_SUMS_BYTES).decode("utf-8", "replace")
        sums |= {found["name"]: found["sha256"].lower() for found in map(_SUM.fullmatch, text.splitlines()) if found}
    return sums


class JoinedFile(io.RawIOBase):
    """Reads files one after another as one; owns their descriptors.

    No read is longer than 8 MiB: a central directory of Kraken's whole archive is a third of that. `failure` keeps
    what the last failed read raised, for the zip library takes any error for a file that is no zip.
    """

    def __init__(self, fds: Sequence[int]) -> None:
        super().__init__()
        self._fds = list(fds)
        self._sizes = [os.fstat(fd).st_size for fd in self._fds]
        self._position = 0
        self.size = sum(self._sizes)
        self.failure: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, fewer only at the end.

        Raises:
            BadInput: more than anything in a real zip is long.
        """
        left = max(self.size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _MOST_READ_BYTES:
            raise BadInput(f"its central directory is longer than {_MOST_READ_BYTES} bytes")
        pieces = []
        while wanted > 0:
            piece = self._read_piece(wanted)
            if not piece:
                break
            pieces.append(piece)
            self._position += len(piece)
            wanted -= len(piece)
        return b"".join(pieces)

    def _read_piece(self, size: int) -> bytes:
        offset = self._position
        for fd, length in zip(self._fds, self._sizes, strict=True):
            if offset < length:
                try:
                    return os.pread(fd, min(size, length - offset), offset)
                except OSError as error:
                    self.failure = error
                    raise
            offset -= length
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def readable(self) -> bool:
        """Say yes."""
        return True

    def close(self) -> None:
        """Close all files."""
        while self._fds:
            os.close(self._fds.pop())
        super().close()
