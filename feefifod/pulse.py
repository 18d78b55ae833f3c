"""Signs of life: whoever works says so at every step, and a watchdog asks who has not for too long.

Work is entered with `working`; every step below it, in other tasks and in worker threads too, calls `beat`. Steps that
only wait for a server beat with every failed attempt: that is a known reason, and no restart would cure it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Work:
    """Something that goes on, and when it last moved."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.moved_at = time.monotonic()


_current: ContextVar[_Work | None] = ContextVar("feefifod_work", default=None)
_going_on: list[_Work] = []  # Of the process, as its logging is: entered and left on the event loop alone.


@contextmanager
def working(name: str) -> Iterator[None]:
    """Be known as work that is expected to move, under this name, until the end of the block."""
    work = _Work(name)
    token = _current.set(work)
    _going_on.append(work)
    try:
        yield
    finally:
        _going_on.remove(work)
        _current.reset(token)


def beat() -> None:
    """Say that the work that this code is part of has moved; nothing happens outside of any. Safe in threads."""
    work = _current.get()
    if work is not None:
        work.moved_at = time.monotonic()


def still_for() -> dict[str, float]:
    """Return for each work that goes on the seconds since it last moved."""
    now = time.monotonic()
    still: dict[str, float] = {}
    for work in _going_on:
        still[work.name] = max(now - work.moved_at, still.get(work.name, 0.0))
    return still
