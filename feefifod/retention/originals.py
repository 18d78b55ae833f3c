"""The files themselves: looked at, packed and removed, never through a link. Blocking; meant for worker threads."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from feefifod.archive import pack_file, sync_folders, unwrap
from feefifod.discover import list_parts, open_drop
from feefifod.errors import BadInput
from feefifod.parse.names import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECE_BYTES: Final = 1024 * 1024


def pack_original(place: str, sha256: bytes) -> tuple[Path, int, int]:
    """Pack a file beside itself; returns where it is packed, and the bytes before and after.

    Raises:
        BadInput, OSError: as `pack_file`.
    """
    fd = open_drop(place)
    try:
        target = pack_file(fd, place, sha256)
        return target, os.fstat(fd).st_size, target.stat().st_size
    finally:
        os.close(fd)


def measure(place: str) -> int:
    """Return the bytes of a file, of a split zip those of all parts; 0 when it is gone."""
    try:
        return sum(os.lstat(part).st_size for part in list_parts(place))
    except OSError:
        return 0


def holds(place: str, sha256: bytes) -> bool:
    """Tell whether a file, as it is or inside of what its name says, or a zip with all its parts, holds this content.

    Raises:
        OSError: it is gone or cannot be read.
    """
    parts = list_parts(place)
    if _hash(parts) == sha256:
        return True
    wrapping = judge(PurePath(PurePath(place).name)).wrapping
    if len(parts) > 1 or not wrapping:
        return False
    fd = open_drop(place)
    digest = hashlib.sha256()
    try:
        for piece in unwrap(fd, wrapping):
            digest.update(piece)
    except BadInput:
        return False
    finally:
        os.close(fd)
    return digest.digest() == sha256


def _hash(parts: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        with open(open_drop(part), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    return digest.digest()


def remove(place: str, sha256: bytes) -> bool:
    """Remove a file whose end is recorded; False when something else lies there, which is left alone.

    The parts of a split zip go the last one first: while the first is there, some may be gone already.

    Raises:
        OSError: it cannot be read or removed.
    """
    try:
        parts = list_parts(place)
        split = parts != [place]
        if not split and not holds(place, sha256):
            return False
        for part in reversed(parts):
            os.close(open_drop(part))
            Path(part).unlink()
        sync_folders([Path(place).parent])
    except FileNotFoundError:
        return not os.path.lexists(place)
    return True
