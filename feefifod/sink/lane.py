"""The contract of both ways into QuestDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from feefifod.model import Frame


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
