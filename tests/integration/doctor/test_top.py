"""`feefifod top` against the real endpoint and the real names of metrics."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from rich.console import Console

from feefifod.cli.top_command import look_at
from feefifod.cli.top_view import View, draw_curve, read_metrics
from feefifod.daemon.metrics import Metrics
from feefifod.endpoint import Body, serve
from feefifod.errors import Unavailable
from feefifod.ingest.report import FileResult
from feefifod.model import FileState
from tests.support.project import Project

STATUS: dict[str, Any] = {
    "files": {"waiting": 3, "loading": 2, "done": 1204},
    "rows": {"accepted": 5, "rejected": 0},
    "questdb": {
        "url": "u",
        "table": "assetprice",
        "rows": 58_000_000,
        "pending_rows": 12,
        "suspended": False,
        "error": None,
    },
    "postgres": {"reachable": True, "error": None},
    "daemon": {"running": True, "pid": 4711, "since": "2026-01-01T00:00:00+00:00"},
    "schedules": [{"name": "nightly", "next_at": "2026-01-02T05:00:00+00:00", "last": None}],
}


@pytest.fixture
def daemon() -> Iterator[tuple[str, Metrics, list[str]]]:
    """Serve what a daemon would; gives the address, its metrics and the reasons why it is not ready."""
    metrics, reasons = Metrics(), list[str]()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = f"127.0.0.1:{probe.getsockname()[1]}"

    async def status() -> Body:
        errors = [{"at": at.isoformat(timespec="seconds"), "error": text} for at, text in metrics.errors]
        return Body(True, STATUS | {"errors": errors})

    async def ready() -> Body:
        return Body(not reasons, {"ready": not reasons, "reasons": reasons})

    async def measure() -> Body:
        return Body(True, metrics.render(None, {}), "text/plain")

    answers = {"/status": status, "/readyz": ready, "/metrics": measure}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(listen, answers, name_holder=str)),
    ):
        yield listen, metrics, reasons


def test_without_a_terminal_it_shows_one_look(
    daemon: tuple[str, Metrics, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listen, metrics, reasons = daemon
    metrics.batches_changed(1, 160)
    metrics.sending("bulk", 1)
    for attempt in (1, 2, 1):
        metrics.trouble(Unavailable("QuestDB is away", where="http://127.0.0.1:9000"), attempt)
    metrics.file_finished(FileResult("ADAUSD_60.csv", FileState.REJECTED, reason="no good row"))
    reasons.append("the table is suspended")
    (tmp_path / "config.toml").write_text(f'http.listen = "{listen}"\n')

    out = Project(tmp_path, "", capsys).succeed("top").out

    for text in (
        "pid 4711",
        "NOT READY",
        "done 1,204",
        "1 batch, 160 files",
        "1 by bulk",
        "58,000,000 rows, 12 pending",
    ):
        assert text in out
    assert "nightly: next 2026-01-02" in out
    assert "→ the table is suspended" in out
    errors = out.partition("last errors")[2].splitlines()
    assert [line.split(maxsplit=1)[1] for line in errors if line.strip()] == [
        "ADAUSD_60.csv was rejected: no good row",
        "http://127.0.0.1:9000: QuestDB is away",
    ], "the newest is the first, and the same one is not repeated"


def test_rates_follow_from_two_looks(daemon: tuple[str, Metrics, list[str]]) -> None:
    listen, metrics, _ = daemon
    view, console = View(), Console(width=100)
    view.render(look_at(listen))
    metrics.window_sent(1_000_000, 5)
    with console.capture() as captured:
        console.print(view.render(look_at(listen)))

    [line] = [line for line in captured.get().splitlines() if line.startswith("rows/s")]
    assert int(line.split()[1].replace(",", "")) > 1_000
    assert "█" in line


def test_no_daemon_and_no_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path, "", capsys)
    (tmp_path / "config.toml").write_text('http.listen = "127.0.0.1:1"\n')
    away = project.run("top")
    (tmp_path / "config.toml").write_text('http.listen = ""\n')
    off = project.run("top")

    assert (away.code, "feefifod run" in away.err) == (1, True)
    assert (off.code, "http.listen" in off.err) == (2, True)


def test_curves_and_metrics() -> None:
    assert draw_curve([]) == ""
    assert draw_curve([0, 0]) == "  "
    assert draw_curve([0, 50, 100]) == " ▄█"
    assert read_metrics('a_total{x="1"} 5.0\n') == {("a_total", frozenset({("x", "1")})): 5.0}
