"""Every metric that the dashboard and the alerts name is there, and every one follows the conventions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feefifod.daemon.metrics import Metrics
from feefifod.daemon.outlook import Disk
from feefifod.errors import Unavailable
from feefifod.ingest.report import FileResult
from feefifod.model import FileState, Source
from feefifod.sources import tally

MONITORING = Path(__file__).resolve().parents[3] / "docs/monitoring"
RUN = {
    "started_at": "2026-01-02T03:04:05+00:00",
    "finished_at": "2026-01-02T03:05:05+00:00",
    "outcome": "done",
    "created": 5,
    "updated": 1,
    "unchanged": 3,
    "no_trades": 0,
}
OVERVIEW: dict[str, Any] = {
    "files": {"waiting": 3, "loading": 1, "moving": 0, "done": 9, "rejected": 2, "duplicate": 0, "empty": None},
    "rows": {"accepted": 900, "rejected": 4},
    "questdb": {
        "url": "http://x",
        "table": "prices",
        "rows": 890,
        "pending_rows": 10,
        "suspended": False,
        "error": None,
    },
    "postgres": {"reachable": True, "error": None},
    "schedules": [
        {"name": "daily", "running": True, "next_at": "2026-01-03T03:04:05+00:00", "last": RUN},
        {"name": "new", "running": None, "next_at": None, "last": None},
    ],
}
DISKS = {"data": Disk(5, 10)}


def scrape(metrics: Metrics, overview: dict[str, Any] | None = OVERVIEW) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render(overview, DISKS).decode())
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_dashboard_and_alerts_name_only_what_exists() -> None:
    known = {name.split(" ")[0] for name in scrape(Metrics())}
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    alerts = (MONITORING / "alerts.yaml").read_text()
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    expressions += re.findall(r"(?m)^ +expr: (.+)$", alerts)
    expressions += [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]

    named = {name for expression in expressions for name in re.findall(r"\b(?:feefifod|process)_\w+", expression)}
    assert len(named) > 25
    assert named - known == set()
    assert (
        len(re.findall("- alert: ", alerts)) == len(re.findall("expr: ", alerts)) == len(re.findall("remedy: ", alerts))
    )
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_names_follow_the_conventions() -> None:
    metrics = Metrics()
    for family in metrics.registry.collect():
        assert re.fullmatch(r"(feefifod|process)_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)
        else:
            assert not family.name.endswith("_total")


def test_what_ingestion_tells_is_counted() -> None:
    metrics = Metrics()
    metrics.batch_started(2, 1000, "bulk")
    metrics.batches_changed(1, 2)
    metrics.window_sent(100, 600)
    metrics.file_finished(FileResult("a", FileState.DONE, 90, 10, 5))
    metrics.file_finished(FileResult("b", FileState.REJECTED, rows_rejected=7))
    metrics.trouble(Unavailable("it is away", where="QuestDB"), 1)
    metrics.trouble(Unavailable("it is away", where="QuestDB"), 2)
    numbers = scrape(metrics)

    assert numbers["feefifod_batches_started_total bulk"] == numbers["feefifod_batches_in_flight"] == 1
    assert (numbers["feefifod_batch_files_total"], numbers["feefifod_batch_bytes_total"]) == (2, 1000)
    assert (numbers["feefifod_rows_read_total"], numbers["feefifod_read_bytes_total"]) == (100, 600)
    assert (numbers["feefifod_rows_accepted_total"], numbers["feefifod_rows_rejected_total"]) == (90, 17)
    assert numbers["feefifod_files_finished_total done"] == numbers["feefifod_files_finished_total rejected"] == 1
    assert (numbers["feefifod_failed_attempts_total"], numbers["feefifod_outages_total"]) == (2, 1)
    assert numbers["feefifod_checkpoint_lag_seconds"] > 0
    assert metrics.recent_trouble() == "QuestDB: it is away"
    metrics.checkpointed()
    assert scrape(metrics)["feefifod_checkpoint_lag_seconds"] == 0


def test_how_things_stand() -> None:
    numbers = scrape(Metrics())

    assert numbers["feefifod_files waiting"] == 3
    assert "feefifod_files empty" not in numbers, "what is not known is not zero"
    assert (numbers["feefifod_table_rows prices"], numbers["feefifod_apply_pending_rows prices"]) == (890, 10)
    assert numbers["feefifod_schedule_last_success daily"] == numbers["feefifod_schedule_running daily"] == 1
    assert (
        numbers["feefifod_schedule_last_end_timestamp_seconds daily"]
        - numbers["feefifod_schedule_last_start_timestamp_seconds daily"]
        == 60
    )
    assert not [name for name in numbers if name.endswith(" new")]
    assert (numbers["feefifod_disk_free_bytes data"], numbers["feefifod_disk_size_bytes data"]) == (5, 10)


def test_a_schedule_that_is_gone_leaves_no_numbers() -> None:
    metrics = Metrics()
    scrape(metrics)
    numbers = scrape(metrics, OVERVIEW | {"schedules": []})

    assert not [name for name in numbers if name.endswith(" daily")]
    assert "feefifod_server_up questdb" not in scrape(metrics, None)


def test_calls_of_apis_are_told_by_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tally.calls, (Source.MASSIVE, "throttled"), 3)
    numbers = scrape(Metrics())

    assert numbers["feefifod_api_calls_total throttled massive"] == 3
    assert "feefifod_api_calls_total ok finnhub" in numbers
