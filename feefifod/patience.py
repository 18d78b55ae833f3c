"""Trying again while a server is away, and how long to put up with that."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import anyio

from feefifod.errors import Refused, Unavailable
from feefifod.lasting import tell_end, tell_fault
from feefifod.pulse import beat

T = TypeVar("T")

OnTrouble = Callable[[Unavailable, int], None]
"""Told of every failed attempt (1, 2, 3 ...) that will be repeated; may raise to end it."""

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0


def keep_silent(error: Unavailable, attempt: int) -> None:
    """Tell nobody of trouble."""


@dataclass(slots=True)
class Trouble:
    """Takes note of failed attempts: tells of them as of one fault, and raises when they last too long.

    Args:
        limit_seconds: after this long without success the trouble is raised; None waits for ever.
        also: told of every failed attempt too.
    """

    limit_seconds: float | None
    also: OnTrouble = keep_silent
    _since: float = 0.0
    _subjects: set[str] = field(default_factory=set)

    def __call__(self, error: Unavailable, attempt: int) -> None:
        """Note one.

        Raises:
            Refused: patience is at its end.
        """
        beat()  # To wait for a server is no standstill.
        now = time.monotonic()
        if attempt == 1:
            self._since = now
        self._subjects.add(error.where)
        tell_fault("waiting", error.where, error.why, where=error.where, remedy=error.remedy or None, attempt=attempt)
        self.also(error, attempt)
        if self.limit_seconds is not None and now - self._since > self.limit_seconds:
            raise Refused(error.why, where=error.where, remedy=error.remedy) from error

    def end(self) -> None:
        """Note that it is over."""
        while self._subjects:
            tell_end("waiting", self._subjects.pop())


async def persist(
    attempt: Callable[[], Awaitable[T]],
    on_trouble: OnTrouble = keep_silent,
    *,
    draw: Callable[[], float] = random.random,
) -> tuple[T, int]:
    """Repeat `attempt` until it does not raise Unavailable; return its result and how many tries it took.

    The pause doubles from 0.1 s to 10 s, half of it random (`draw`, from 0 to 1), and respects a longer wish of
    the server.
    """
    tries = 1
    while True:
        try:
            result = await attempt()
        except Unavailable as error:
            on_trouble(error, tries)
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 16))
            pause *= 0.5 + draw() / 2
            await anyio.sleep(max(pause, error.retry_after_seconds or 0.0))
        else:
            if isinstance(on_trouble, Trouble):
                on_trouble.end()
            return result, tries
        tries += 1
