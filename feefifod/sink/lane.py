"""The contract of both ways into QuestDB, and the patience they share."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio

from feefifod.errors import Unavailable

if TYPE_CHECKING:
    from feefifod.model import Frame

T = TypeVar("T")

OnTrouble = Callable[[Unavailable, int], None]
"""Told of every failed attempt (1, 2, 3 ...) that will be repeated."""

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server's acknowledgement of a frame.

    Attributes:
        rows: how many rows were acknowledged.
        lane: the lane's name.
        seconds: from the call of `send` to the acknowledgement.
        attempts: the most tries that one piece of the frame needed; 1 when all went well.
    """

    rows: int
    lane: str
    seconds: float
    attempts: int


class Lane(Protocol):
    """A way into the table."""

    @property
    def name(self) -> str:
        """`ilp` or `bulk`."""

    async def send(self, frame: Frame) -> Receipt:
        """Send a frame; return only after the server has acknowledged all of it.

        Repeats itself, with growing pauses, for as long as the server is away; cancel to give up. Part of a
        frame may be in when that happens, or twice on the way: the table's DEDUP makes a later repeat harmless.
        Several calls at the same time are fine.

        Raises:
            Refused: the server says that the rows are wrong; repeating would not help.
        """

    async def close(self) -> None:
        """Let go of connections and scratch files."""


def keep_silent(error: Unavailable, attempt: int) -> None:
    """Tell nobody of trouble."""


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
            return await attempt(), tries
        except Unavailable as error:
            on_trouble(error, tries)
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(tries - 1, 16))
            pause *= 0.5 + draw() / 2
            await anyio.sleep(max(pause, error.retry_after_seconds or 0.0))
        tries += 1
