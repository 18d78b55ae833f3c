"""Looks at how things stand now and then, and alerts the operator."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.alerts import Alerter, deliver
from feefifod.log import redact
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feefifod.alerts import Alert
    from feefifod.config import AlertSettings
    from feefifod.daemon.metrics import Metrics
    from feefifod.daemon.outlook import Outlook, View

_HOUR_SECONDS: Final = 3600.0


@dataclass(slots=True)
class Alarm:
    """Alerts, until cancelled. The settings are those of the outlook, which a reload replaces."""

    outlook: Outlook
    metrics: Metrics
    _alerter: Alerter = field(default_factory=lambda: Alerter(0))
    _rejected: int = 0
    _started: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Check every so often. Whatever goes wrong with it must not disturb ingestion."""
        while True:
            await anyio.sleep(self._settings.check_seconds)
            try:
                await self._check()
            except Exception:
                structlog.get_logger().exception("alarm_failed")

    async def _check(self) -> None:
        settings = self._settings
        if not (settings.webhook_url.get_secret_value() or settings.command):
            return
        self._alerter.at_most_per_hour = settings.at_most_per_hour
        now = time.monotonic()
        conditions = dict(find_conditions(await self.outlook.look()))
        quiet_seconds = now - (self.metrics.done_at or self._started)
        if settings.quiet_hours and quiet_seconds > settings.quiet_hours * _HOUR_SECONDS:
            conditions["quiet"] = f"nothing was ingested for {settings.quiet_hours:g} hours"
        alerts = list(self._alerter.compare(conditions, now))
        if new := self.metrics.rejected_files - self._rejected:
            told = list(
                self._alerter.happened(
                    "rejected",
                    f"{count_of(new, 'file')} {'was' if new == 1 else 'were'} rejected; see: feefifod rejects",
                    now,
                )
            )
            self._rejected += new if told else 0
            alerts += told
        for alert in alerts:
            await self._tell(alert)

    @property
    def _settings(self) -> AlertSettings:
        return self.outlook.settings.alerts

    async def _tell(self, alert: Alert) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        await deliver(alert.document(socket.gethostname(), at), self._settings)


def find_conditions(view: View) -> Iterator[tuple[str, str]]:
    """Yield all that needs attention, each with a name that stays the same while it lasts."""
    if view.trouble:
        yield "look", redact(view.trouble)
    for name, disk in view.disks.items():
        if disk.nearly_full:
            yield f"disk {name}", f"{disk.free_bytes // 1024**2} MiB are free where paths.{name} lies"
    if view.document is None:
        return
    for name in ("questdb", "postgres", "data"):
        if error := view.document[name]["error"]:
            suspended = name == "questdb" and view.document[name]["suspended"]
            yield "suspended" if suspended else name, error
    for schedule in view.document["schedules"]:
        last = schedule["last"]
        if last and last["outcome"] == "failed":
            yield f"schedule {schedule['name']}", last["reason"]
