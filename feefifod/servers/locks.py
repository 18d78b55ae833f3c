"""Locks between processes: flock, because the kernel releases it however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from feefifod.errors import Unavailable

POLL_SECONDS: Final = 0.03


def try_lock(path: Path) -> int | None:
    """Take the exclusive lock on a file, made when missing, without waiting.

    Returns:
        A descriptor that holds the lock until it is closed, or None while someone else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Tell whether some process holds the exclusive lock on a file; a missing file is not locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_briefly_contended(path: Path, *, patience_seconds: float) -> int | None:
    """Take the lock like `try_lock`, outlasting those who only look: `is_locked` holds it for an instant."""
    deadline = time.monotonic() + patience_seconds
    while (descriptor := try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return descriptor


@asynccontextmanager
async def hold(path: Path, *, wait_seconds: float, what: str) -> AsyncIterator[None]:
    """Hold the exclusive lock on a file.

    Raises:
        Unavailable: someone else held it for the whole `wait_seconds`; `what` says what that one does.
    """
    deadline = anyio.current_time() + wait_seconds
    while (descriptor := try_lock(path)) is None:
        if anyio.current_time() > deadline:
            raise Unavailable(f"{what}, for more than {wait_seconds:.0f} s", where=str(path), remedy="Try again later")
        await anyio.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        os.close(descriptor)
