"""What the status endpoint answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feefifod.daemon.watchdog import STALL_SECONDS, find_stalled
from feefifod.endpoint import Body
from feefifod.log import redact
from feefifod.pulse import still_for
from feefifod.wording import count_of

if TYPE_CHECKING:
    import anyio

    from feefifod.daemon.metrics import Metrics
    from feefifod.daemon.outlook import Outlook
    from feefifod.endpoint import Answers

_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Answerer:
    """Answers for one daemon.

    Attributes:
        stop: set when it drains.
        started: whether it has begun to take files.
    """

    outlook: Outlook
    metrics: Metrics
    stop: anyio.Event
    started: bool = False

    def answers(self) -> Answers:
        """Return what is answered where."""
        return {
            "/healthz": self._tell_health,
            "/readyz": self._tell_readiness,
            "/metrics": self._tell_metrics,
            "/status": self._tell_status,
        }

    def describe(self) -> str:
        """Say in a line what the daemon is doing."""
        metrics = self.metrics
        done = f"{count_of(metrics.files, 'file')} and {count_of(metrics.rows, 'row')} since the start"
        if metrics.rejected_files:
            done += f", {count_of(metrics.rejected_files, 'file')} rejected"
        if self.stop.is_set():
            return f"stopping; {done}"
        if trouble := metrics.recent_trouble():
            return f"waiting: {redact(trouble)}"
        if not self.started:
            return "starting"
        if metrics.loading:
            return f"loading {count_of(metrics.loading, 'file')}, {count_of(metrics.sent_rows, 'row')} sent; {done}"
        return f"watching; {done}"

    async def _tell_health(self) -> Body:
        """Say whether the daemon is alive: the loop turns, or nobody would hear, and the work moves."""
        stalled = find_stalled(STALL_SECONDS)
        working = {name: round(seconds, 1) for name, seconds in still_for().items()}
        return Body(not stalled, {"alive": not stalled, "stalled": stalled, "still_for_seconds": working})

    async def _tell_readiness(self) -> Body:
        if self.stop.is_set():
            reasons = ["it is stopping"]
        elif not self.started:
            reasons = ["it is starting"]
        else:
            reasons = [redact(reason) for reason in (await self.outlook.look()).why_not_ready()]
        return Body(not reasons, {"ready": not reasons, "reasons": reasons})

    async def _tell_metrics(self) -> Body:
        view = await self.outlook.look()
        return Body(True, self.metrics.render(view.document, view.disks), _TEXT)

    async def _tell_status(self) -> Body:
        view = await self.outlook.look()
        if view.document is None:
            return Body(False, {"error": redact(view.trouble)})
        errors = [{"at": at.isoformat(timespec="seconds"), "error": redact(error)} for at, error in self.metrics.errors]
        return Body(True, view.document | {"errors": errors})
