"""Finished files packed as ordinary `.zst` files, and unpacked again. Blocking; meant for worker threads."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow

from feefifod.archive.durability import copy_times, sync_file, sync_folders
from feefifod.archive.move import rename_exclusive
from feefifod.errors import BadInput
from feefifod.parse.names import PACKED_SUFFIX, split_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODEC: Final = "zstd"
_TRIES: Final = 100
_DRAFT: Final = re.compile(r"\..+\.zst\.\d+\.part", re.DOTALL)
_DRAFT_SECONDS: Final = 86_400.0
_PIECE_BYTES: Final = 1024 * 1024


def pack_file(fd: int, place: str, sha256: bytes) -> Path:
    """Pack an open file beside itself as `place.zst`, and return where that is; the original stays.

    The copy is on disk, was read back and has the right content before it gets its name. One that an earlier try has
    left there is taken as it is when its content is right.

    Args:
        sha256: what the file has to hold.

    Raises:
        BadInput: it holds something else.
        OSError: as the system says, with no space left for instance; nothing is left behind then.
    """
    source = Path(place)
    draft = source.with_name(f".{source.name}{PACKED_SUFFIX}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("xb") as file:
            digest = _pack(fd, file.fileno())
            if digest != sha256:
                raise BadInput("it has another content than when it was loaded", where=place)
            with suppress(OSError):  # FAT and CIFS have no modes.
                os.fchmod(file.fileno(), os.fstat(fd).st_mode & 0o777)
            sync_file(file.fileno())
        copy_times(os.fstat(fd), draft)
        with draft.open("rb") as file:
            if hash_packed(file.fileno()) != sha256:
                raise OSError(errno.EIO, "the packed copy does not read back as the file", place)
        return _name(draft, source.with_name(source.name + PACKED_SUFFIX), sha256)
    finally:
        draft.unlink(missing_ok=True)


def _name(draft: Path, wanted: Path, sha256: bytes) -> Path:
    stem, ending = split_stamp(wanted.name)
    for attempt in range(_TRIES):
        target = wanted.with_name(f"{stem}.{_now()}{ending}") if attempt else wanted
        try:
            rename_exclusive(str(draft), str(target))
        except FileExistsError:
            if not _holds(target, sha256):
                continue
        sync_folders([target.parent])
        return target
    raise FileExistsError(errno.EEXIST, "there are too many files of this name", str(wanted))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def remove_drafts(folder: Path) -> None:
    """Remove the drafts that killed processes have left in a folder a day ago or earlier."""
    try:
        found = [entry for entry in os.scandir(folder) if _DRAFT.fullmatch(entry.name)]
    except FileNotFoundError:
        return
    for entry in found:
        try:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and time.time() - status.st_ctime > _DRAFT_SECONDS:
                Path(entry.path).unlink()
        except OSError:
            continue  # It is only litter.


def _holds(path: Path, sha256: bytes) -> bool:
    """Tell whether this is a packed file of that content."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return hash_packed(fd) == sha256
    except OSError:
        return False
    finally:
        os.close(fd)


def _pack(fd: int, target: int) -> bytes:
    digest = hashlib.sha256()
    with (
        open(fd, "rb", buffering=0, closefd=False) as source,
        open(target, "wb", closefd=False) as sink,
        pyarrow.CompressedOutputStream(pyarrow.PythonFile(sink, "w"), _CODEC) as packer,
    ):
        source.seek(0)
        while piece := source.read(_PIECE_BYTES):
            digest.update(piece)
            packer.write(piece)
    return digest.digest()


def hash_packed(fd: int) -> bytes:
    """Return the SHA-256 of what a packed file holds.

    Raises:
        OSError: it cannot be read, or is not packed or cut off.
    """
    digest = hashlib.sha256()
    for piece in read_packed(fd):
        digest.update(piece)
    return digest.digest()


def unpack_file(fd: int, target: Path, size: int | None = None) -> None:
    """Unpack an open file to `target`, which does not exist yet, and make it durable.

    Args:
        size: bytes that it must hold, where that is known; nothing is written beyond.

    Raises:
        OSError: as `hash_packed`, or it holds more or less.
    """
    written = 0
    with target.open("xb") as file:
        for piece in read_packed(fd):
            written += len(piece)
            if size is not None and written > size:
                break
            file.write(piece)
        file.flush()
        sync_file(file.fileno())
    if size is not None and written != size:
        raise OSError(errno.EIO, "the packed file holds other than its size", str(target))


def read_packed(fd: int) -> Iterator[bytes]:
    """Read what a packed file holds, piece by piece; raises as `hash_packed`."""
    os.lseek(fd, 0, os.SEEK_SET)
    with (
        open(fd, "rb", buffering=0, closefd=False) as source,
        pyarrow.CompressedInputStream(pyarrow.PythonFile(source, "r"), _CODEC) as stream,
    ):
        while piece := stream.read(_PIECE_BYTES):
            yield piece
