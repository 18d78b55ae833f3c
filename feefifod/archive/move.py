"""Moving a finished file: nothing is overwritten, nothing is removed before its copy is safe."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiofiles
import aiofiles.os
from anyio import to_thread

from feefifod.errors import Unavailable
from feefifod.failpoint import Step, reach
from feefifod.parse.names import split_stamp
from feefifod.pulse import beat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCL: Final = 4
_COPY_BYTES: Final = 1024 * 1024
_TRIES: Final = 1000


async def move_file(
    source: str, folder: Path, name: str, *, before: Callable[[Path], Awaitable[None]] | None = None
) -> Path:
    """Move `source` to `folder/name` and return where it is now.

    Where the name is taken, the new file gets a timestamp in its name. `before` is called with the new name
    just before the move. The caller makes the move durable with `sync_folders`.

    Raises:
        FileNotFoundError: `source` is gone.
        Unavailable: the folder cannot be written; the file is where it was.
    """
    try:
        await aiofiles.os.makedirs(folder, exist_ok=True)
        earlier = await to_thread.run_sync(_find_copy, source, folder)
        if earlier is not None and await _is_same(source, earlier):
            await _remove_copied(source, earlier)
            return earlier
        for target in _candidates(folder, name):
            if await aiofiles.os.path.exists(target):
                continue
            if before is not None:
                await before(target)
            try:
                await to_thread.run_sync(rename_exclusive, source, str(target))
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                if not await _copy_across(source, target):
                    continue
            return target
    except FileNotFoundError:
        if not await aiofiles.os.path.exists(source):
            raise
        raise _unwritable(folder, "No such file or directory") from None
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    raise _unwritable(folder, f"there are over {_TRIES} files named like {name}")


def rename_group(
    moves: Sequence[tuple[str, Path, str]], check: Callable[[str, int], None]
) -> list[Path | OSError | None]:
    """Move many files within one file system, in one go. Blocking; meant for a worker thread.

    Args:
        moves: source, folder and name of each.
        check: called with a source and its place just before its move; raises OSError to leave it where it is.

    Returns:
        Where each is now; or what was in the way; or None where it has to be copied to another file system.
    """
    results: list[Path | OSError | None] = []
    for place, (source, folder, name) in enumerate(moves):
        try:
            check(source, place)
            folder.mkdir(parents=True, exist_ok=True)
            results.append(_rename_to_free_name(source, folder, name))
        except OSError as error:
            results.append(None if error.errno == errno.EXDEV else error)
    return results


def _rename_to_free_name(source: str, folder: Path, name: str) -> Path:
    for target in _candidates(folder, name):
        try:
            rename_exclusive(source, str(target))
        except FileExistsError:
            continue
        return target
    raise FileExistsError(errno.EEXIST, f"there are over {_TRIES} files of this name", str(folder / name))


def _unwritable(folder: Path, why: str) -> Unavailable:
    return Unavailable(
        f"a finished file cannot be moved there: {why}",
        where=str(folder),
        remedy="Give feefifod the right and the space to write there; the move is tried again",
    )


def _candidates(folder: Path, name: str) -> Iterable[Path]:
    yield folder / name
    stem, ending = split_stamp(name)
    for attempt in range(_TRIES):
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        extra = f"-{attempt}" if attempt else ""
        yield folder / f"{stem}.{now}{extra}{ending}"


def rename_exclusive(source: str, target: str) -> None:
    """Rename within one file system, never over an existing file.

    Raises:
        FileExistsError: `target` exists. OSError: as rename(2), EXDEV across file systems.
    """
    reach(Step.RENAMING)
    rename = _native_rename()
    code = rename(os.fsencode(source), os.fsencode(target)) if rename is not None else errno.ENOSYS
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        os.link(source, target, follow_symlinks=False)
        Path(source).unlink()
    elif code:
        raise OSError(code, os.strerror(code), source, None, target)
    reach(Step.RENAMED)


def _native_rename() -> Callable[[bytes, bytes], int] | None:
    """Return the system's no-replace rename as a function that returns an errno, where there is one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):

        def rename(source: bytes, target: bytes) -> int:
            failed = libc.renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE)
            return ctypes.get_errno() if failed else 0

        return rename
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):

        def rename_mac(source: bytes, target: bytes) -> int:
            return ctypes.get_errno() if libc.renamex_np(source, target, _RENAME_EXCL) else 0

        return rename_mac
    return None


async def _copy_across(source: str, target: Path) -> bool:
    """Copy to another file system, compare, and only then remove the source; False when the name is taken.

    The draft's name follows from the source's, so that no crash leaves more than one. It becomes a second name of
    the copy and goes after the source: a crash in between leaves the proof that this copy is ours.
    """
    draft = _draft_of(source, target.parent)
    linked = False
    # Never written into: it may be the second name of an earlier content's copy.
    draft.unlink(missing_ok=True)
    try:
        async with aiofiles.open(source, "rb") as reader, aiofiles.open(draft, "xb") as writer:
            while piece := await reader.read(_COPY_BYTES):
                await writer.write(piece)
                beat()
            await writer.flush()
            await to_thread.run_sync(os.fsync, writer.fileno())
        status = await aiofiles.os.stat(source)
        os.utime(draft, ns=(status.st_atime_ns, status.st_mtime_ns))
        if not await _is_same(source, draft):
            raise OSError(errno.EIO, "the copy differs from its source")
        reach(Step.COPIED)
        try:
            os.link(draft, target)
            linked = True
        except FileExistsError:
            return False
        except OSError:
            # No hard links there: a crash before the source is removed leaves a second copy, and nothing worse.
            try:
                rename_exclusive(str(draft), str(target))
            except FileExistsError:
                return False
    finally:
        if not linked:
            draft.unlink(missing_ok=True)
    await _remove_copied(source, target)
    return True


async def _remove_copied(source: str, copy: Path) -> None:
    await to_thread.run_sync(sync_folders, [copy.parent])
    reach(Step.LINKED)
    await aiofiles.os.unlink(source)
    reach(Step.SOURCE_REMOVED)
    forget_draft(source, copy.parent)


def _draft_of(source: str, folder: Path) -> Path:
    return folder / f".{hashlib.blake2b(os.fsencode(source), digest_size=8).hexdigest()}.part"


def _find_copy(source: str, folder: Path) -> Path | None:
    """Return the whole copy of this file that an earlier try has made in `folder`."""
    draft = _draft_of(source, folder)
    try:
        here, there = Path(source).stat(), draft.lstat()
    except FileNotFoundError:
        return None
    if there.st_nlink < 2 or (here.st_size, here.st_mtime_ns) != (there.st_size, there.st_mtime_ns):
        return None
    with os.scandir(folder) as entries:
        return next((Path(e.path) for e in entries if e.inode() == there.st_ino and e.name != draft.name), None)


def forget_draft(source: str, folder: Path) -> None:
    """Remove what a crash may have left of copying a file that is not there any more."""
    _draft_of(source, folder).unlink(missing_ok=True)


async def _is_same(source: str, copy: Path) -> bool:
    async with aiofiles.open(source, "rb") as one, aiofiles.open(copy, "rb") as other:
        while True:
            left, right = await one.read(_COPY_BYTES), await other.read(_COPY_BYTES)
            beat()
            if left != right:
                return False
            if not left:
                return True


def sync_folders(folders: Iterable[Path]) -> None:
    """Make renames in these folders durable."""
    for folder in set(folders):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
