"""What is new, what is over, and what may be sent: each alert once, its end once, and never too many."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOUR_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Alert:
    """A message: `state` is `raised`, `resolved`, or `happened` for what has no end."""

    name: str
    state: Literal["raised", "resolved", "happened"]
    text: str

    def document(self, host: str, at: str) -> dict[str, Any]:
        """Return it as JSON would have it; chat services show `text` and nothing else, so it says everything."""
        return {
            "text": f"feefifod on {host}: {self.name} {self.state}: {self.text}",
            "host": host,
            "at": at,
            "name": self.name,
            "state": self.state,
        }


@dataclass(slots=True)
class Alerter:
    """Remembers what was told.

    Args:
        at_most_per_hour: more are held back; what is still so when there is room again is told then.
    """

    at_most_per_hour: int
    _told: dict[str, str] = field(default_factory=dict)
    _sent: deque[float] = field(default_factory=deque)

    def compare(self, conditions: Mapping[str, str], now: float) -> Iterator[Alert]:
        """Yield what to send, given all that needs attention now (name → text); `now` in monotonic seconds."""
        while self._sent and now - self._sent[0] > _HOUR_SECONDS:
            self._sent.popleft()
        due = [Alert(name, "raised", text) for name, text in conditions.items() if name not in self._told]
        due += [Alert(name, "resolved", text) for name, text in self._told.items() if name not in conditions]
        for alert in due:
            if self._take(now):
                self._remember(alert)
                yield alert

    def happened(self, name: str, text: str, now: float) -> Iterator[Alert]:
        """Yield an alert for what has happened and has no end, if one more may be sent."""
        if self._take(now):
            yield Alert(name, "happened", text)

    def _take(self, now: float) -> bool:
        if len(self._sent) >= self.at_most_per_hour:
            return False
        self._sent.append(now)
        return True

    def _remember(self, alert: Alert) -> None:
        if alert.state == "raised":
            self._told[alert.name] = alert.text
        else:
            del self._told[alert.name]
