"""Renaming where nothing refuses to overwrite: the name is reserved by an exclusive creation, and then replaced."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from feefifod.failpoint import Step, reach

_RESERVED: Final = b"feefifod moves a file here: "


def rename_reserved(source: str, target: str) -> None:
    """Rename to a name that nothing has, on a file system that would overwrite.

    The mark that reserves the name says for which file: after a crash in between, the next try knows it as its own.

    Raises:
        FileExistsError: `target` exists. OSError: as open(2) and rename(2).
    """
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if not is_reserved(target, source):
            raise
    else:
        _write_mark(fd, source, target)
    reach(Step.RESERVED)
    try:
        os.rename(source, target)  # noqa: PTH104 - any bytes are a name
    except OSError:
        # An answer may get lost after the rename was made: only what is our mark for sure is removed.
        if is_reserved(target, source):
            with suppress(OSError):
                Path(target).unlink()
        raise


def _write_mark(fd: int, source: str, target: str) -> None:
    try:
        try:
            os.write(fd, _mark(source))
        finally:
            os.close(fd)
    except OSError as error:
        with suppress(OSError):
            Path(target).unlink()
        raise OSError(error.errno or errno.EIO, error.strerror, target) from error


def _mark(source: str) -> bytes:
    return _RESERVED + os.fsencode(source) + b"\n"


def is_reserved(target: str, source: str) -> bool:
    """Tell whether a name is only reserved, for this very file."""
    mark = _mark(source)
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(fd, len(mark) + 1) == mark
    except OSError:
        return False
    finally:
        os.close(fd)
