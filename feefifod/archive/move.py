"""Moving a finished file: nothing is overwritten, nothing is removed before its copy is safe.

A file system that can do less (FAT, exFAT, CIFS, rclone, s3fs) gets what it can do: without a rename that refuses to
overwrite a hard link is made, and where there are no hard links either, the name is reserved first.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiofiles
import aiofiles.os
from anyio import to_thread

from feefifod.archive.durability import NOT_SUPPORTED, copy_times, sync_file, sync_folders
from feefifod.archive.fault import ReadFault, SourceFault, TargetFault, explain_move, explain_target, find_fixture
from feefifod.archive.reservation import is_reserved, rename_reserved
from feefifod.failpoint import Step, reach
from feefifod.parse.names import split_stamp
from feefifod.pulse import beat

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCL: Final = 4
_COPY_BYTES: Final = 1024 * 1024
_TRIES: Final = 1000
_OTHER_THAN_NO_LINKS: Final = frozenset(
    {errno.EEXIST, errno.ENOENT, errno.EXDEV, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTCONN, errno.ESTALE}
)
_REFUSED_NAME: Final = (errno.EINVAL, errno.EILSEQ, errno.ENOENT, errno.EPROTO)
_UNPORTABLE: Final = re.compile(r'[\x00-\x1f<>:"\\|?*\x7f\ud800-\udfff]|[. ]+$')
"""What FAT, exFAT, NTFS and Windows servers take in no name."""


async def move_file(
    source: str, folder: Path, name: str, *, before: Callable[[Path], Awaitable[None]] | None = None
) -> Path:
    """Move `source` to `folder/name` and return where it is now.

    Where the name is taken, the new file gets a timestamp in its name; where the file system refuses a character of
    it, that becomes `_`. `before` is called with the new name just before the move. The caller makes the move durable
    with `sync_folders`.

    Raises:
        FileNotFoundError: `source` is gone.
        Unavailable: one of the folders does not let us; the file is where it was.
    """
    try:
        await aiofiles.os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise explain_target(error, folder) from error
    portable = make_portable(name)
    try:
        try:
            return await _move(source, folder, name, before)
        except OSError as error:
            if portable == name or error.errno not in _REFUSED_NAME:
                raise
        return await _move(source, folder, portable, before)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not await to_thread.run_sync(os.path.lexists, source):
            raise
        raise await to_thread.run_sync(explain_move, error, source, folder) from error


def make_portable(name: str) -> str:
    """Return a name that every file system takes, but for its length."""
    return _UNPORTABLE.sub("_", name)


async def _move(source: str, folder: Path, name: str, before: Callable[[Path], Awaitable[None]] | None) -> Path:
    earlier = await to_thread.run_sync(_find_copy, source, folder)
    if earlier is not None and await _is_same(source, earlier):
        await _remove_copied(source, earlier)
        return earlier
    for target in _candidates(folder, name):
        if await to_thread.run_sync(_is_taken, target, source):
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
            try:
                await _copy_across(source, target)
            except FileExistsError:
                continue
        return target
    raise TargetFault(errno.EEXIST, f"there are over {_TRIES} files named like {name}")


def _is_taken(target: Path, source: str) -> bool:
    if not os.path.lexists(target):
        return False
    return not any(is_reserved(str(target), file) for file in (source, str(_draft_of(source, target.parent))))


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
    if code in NOT_SUPPORTED:
        _rename_by_link(source, target)
    elif code == errno.EEXIST and is_reserved(target, source):
        rename_reserved(source, target)
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


def _rename_by_link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _OTHER_THAN_NO_LINKS and not is_reserved(target, source):
            raise
        rename_reserved(source, target)
        return
    try:
        Path(source).unlink()
    except OSError:
        Path(target).unlink()  # Else each further try would make another name.
        raise


async def _copy_across(source: str, target: Path) -> None:
    """Copy to another file system, compare, and only then remove the source.

    The draft's name follows from the source's, so that no crash leaves more than one. It becomes a second name of
    the copy and goes after the source: a crash in between leaves the proof that this copy is ours. Where there are no
    hard links, a note says so that names the copy.

    Raises:
        FileExistsError: the name is taken. SourceFault, TargetFault: one of the sides failed.
    """
    if fixture := await to_thread.run_sync(find_fixture, Path(source).parent, source):
        raise SourceFault(errno.EACCES, fixture, source)
    status = await aiofiles.os.stat(source)
    draft = _draft_of(source, target.parent)
    try:
        # Never written into: it may be the second name of an earlier content's copy.
        draft.unlink(missing_ok=True)
        try:
            await _write_draft(source, draft, status)
            await to_thread.run_sync(_name_draft, source, draft, target)
        finally:
            if draft.exists() and draft.stat().st_nlink < 2:
                forget_draft(source, target.parent)
    except (SourceFault, FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise TargetFault(error.errno, error.strerror, str(target.parent)) from error
    await _remove_copied(source, target)


async def _write_draft(source: str, draft: Path, status: os.stat_result) -> None:
    async with aiofiles.open(draft, "xb") as writer:
        async for piece in _read(source):
            await writer.write(piece)
        await writer.flush()
        await to_thread.run_sync(sync_file, writer.fileno())
    copy_times(status, draft)
    if not await _is_same(source, draft):
        raise OSError(errno.EIO, "the copy differs from its source", str(draft))
    reach(Step.COPIED)


def _name_draft(source: str, draft: Path, target: Path) -> None:
    """Give a whole copy its name, in a way that a crash leaves the proof that it is ours."""
    try:
        os.link(draft, target)
    except OSError as error:
        if error.errno in _OTHER_THAN_NO_LINKS and not is_reserved(str(target), str(draft)):
            raise
        _write_note(source, target)
        rename_exclusive(str(draft), str(target))


async def _read(source: str) -> AsyncIterator[bytes]:
    try:
        async with aiofiles.open(source, "rb") as reader:
            while piece := await reader.read(_COPY_BYTES):
                yield piece
                beat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReadFault(error.errno, error.strerror, source) from error


def _write_note(source: str, target: Path) -> None:
    """Note which name the copy of a file is about to get."""
    note = _note_of(source, target.parent)
    with note.open("wb") as file:
        file.write(os.fsencode(target.name))
        file.flush()
        sync_file(file.fileno())


async def _remove_copied(source: str, copy: Path) -> None:
    await to_thread.run_sync(sync_folders, [copy.parent])
    reach(Step.LINKED)
    try:
        await aiofiles.os.unlink(source)
    except FileNotFoundError:
        pass  # Its owner was quicker; the copy is whole.
    except OSError as error:
        raise SourceFault(error.errno, error.strerror, source) from error
    reach(Step.SOURCE_REMOVED)
    forget_draft(source, copy.parent)


def _draft_of(source: str, folder: Path) -> Path:
    return folder / f".{hashlib.blake2b(os.fsencode(source), digest_size=8).hexdigest()}.part"


def _note_of(source: str, folder: Path) -> Path:
    return _draft_of(source, folder).with_suffix(".copy")


def find_noted(source: str, folder: Path) -> Path | None:
    """Return the place that an earlier try has noted for the copy of this file, if something is there."""
    with suppress(OSError):
        target = folder / os.fsdecode(_note_of(source, folder).read_bytes())
        if target.name and target.parent == folder and target.lstat().st_size:
            return target
    return None


def _find_copy(source: str, folder: Path) -> Path | None:
    """Return the whole copy of this file that an earlier try has made in `folder`."""
    if (noted := find_noted(source, folder)) is not None:
        return noted if noted.lstat().st_size == Path(source).lstat().st_size else None
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
    for path in (_draft_of(source, folder), _note_of(source, folder)):
        path.unlink(missing_ok=True)


async def _is_same(source: str, copy: Path) -> bool:
    async with aiofiles.open(copy, "rb") as other:
        async for left in _read(source):
            if left != await other.read(_COPY_BYTES):
                return False
        return not await other.read(1)
