"""How things stand, as gauges for Prometheus."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import Gauge

from feefifod.daemon.overview import NO_TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from feefifod.daemon.outlook import Disk


class Standing:
    """Gauges made from the overview. What is not known has no sample, so that no alert takes it for zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"feefifod_{name}", text, labels, registry=registry)

        self._files = gauge("files", "Files in the data folder and in the ledger, by state.", "state")
        self._ledger_rows = gauge("ledger_rows", "Rows of all files of the present table, by result.", "result")
        self._table_rows = gauge("table_rows", "Visible rows of the table.", "table")
        self._pending = gauge("apply_pending_rows", "Acknowledged rows that are not visible yet.", "table")
        self._suspended = gauge("table_suspended", "1 while QuestDB makes no rows of the table visible.", "table")
        self._up = gauge("server_up", "1 while the server answers.", "server")
        self._free = gauge("disk_free_bytes", "Free space where a folder lies.", "folder")
        self._size = gauge("disk_size_bytes", "Size of the file system where a folder lies.", "folder")
        self._running = gauge("schedule_running", "1 while a schedule runs.", "schedule")
        self._next = gauge("schedule_next_timestamp_seconds", "When a schedule is due next.", "schedule")
        self._start = gauge("schedule_last_start_timestamp_seconds", "When a schedule's last run began.", "schedule")
        self._end = gauge("schedule_last_end_timestamp_seconds", "When a schedule's last run ended.", "schedule")
        self._success = gauge("schedule_last_success", "1 when a schedule's last run ended well, else 0.", "schedule")
        self._candles = gauge("schedule_last_candles", "Day candles of a schedule's last run.", "schedule", "result")

    def set(self, document: Mapping[str, Any] | None, disks: Mapping[str, Disk]) -> None:
        """Set all of them: `document` is the overview, None when there is none; `disks` by the folder's name."""
        for metric in vars(self).values():
            metric.clear()
        for name, disk in disks.items():
            self._free.labels(name).set(disk.free_bytes)
            self._size.labels(name).set(disk.size_bytes)
        if document is not None:
            self._set_files(document)
            self._set_servers(document)
            for schedule in document["schedules"]:
                self._set_schedule(schedule)

    def _set_files(self, document: Mapping[str, Any]) -> None:
        for state, count in document["files"].items():
            _set(self._files, count, state)
        for result, count in document["rows"].items():
            _set(self._ledger_rows, count, result)

    def _set_servers(self, document: Mapping[str, Any]) -> None:
        questdb, postgres = document["questdb"], document["postgres"]
        # Without a table there is nothing to count, but the server answers.
        self._up.labels("questdb").set(questdb["rows"] is not None or questdb["error"] == NO_TABLE)
        self._up.labels("postgres").set(postgres["reachable"])
        _set(self._table_rows, questdb["rows"], questdb["table"])
        _set(self._pending, questdb["pending_rows"], questdb["table"])
        _set(self._suspended, questdb["suspended"], questdb["table"])

    def _set_schedule(self, schedule: Mapping[str, Any]) -> None:
        name, last = schedule["name"], schedule["last"]
        _set(self._running, schedule["running"], name)
        _set(self._next, _instant(schedule["next_at"]), name)
        if not last:
            return
        _set(self._start, _instant(last["started_at"]), name)
        _set(self._end, _instant(last["finished_at"]), name)
        if last["outcome"]:
            self._success.labels(name).set(last["outcome"] == "done")
        for result in ("created", "updated", "unchanged", "no_trades"):
            self._candles.labels(name, result).set(last[result])


def _set(gauge: Gauge, value: float | None, *labels: str) -> None:
    if value is not None:
        gauge.labels(*labels).set(value)


def _instant(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
