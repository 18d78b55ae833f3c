"""What the status endpoint of a running daemon answers, and to whom."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from feefifod.servers import Endpoints
from tests.integration.daemon.conftest import ask
from tests.support import samples
from tests.support.daemon import World, wait_until
from tests.support.embedded import fetch


def test_a_day_of_a_daemon(world: World, port: int) -> None:
    """Health, readiness, metrics and status, before and after files, and to strangers."""
    daemon = world.start()
    daemon.wait_for("watching")

    health, ready = ask(port, "/healthz"), ask(port, "/readyz")
    assert (health.status, health.document["alive"], health.document["stalled"]) == (200, True, [])
    assert (ready.status, ready.document) == (200, {"ready": True, "reasons": []})

    world.drop("XBTUSD_60.csv", samples.file(500, interval=60))
    world.drop("ETHUSD_60.csv", samples.file(300, interval=60) + b"what is this\n")
    world.drop("ADAUSD_60.csv", b"not,a,candle\n")
    world.wait_finished(3)
    numbers = wait_until(lambda: _finished(port, 3), what="metrics of three files")

    assert numbers['feefifod_files_finished_total{state="done"}'] == 2
    assert numbers['feefifod_files_finished_total{state="rejected"}'] == 1
    assert numbers["feefifod_rows_accepted_total"] == 800
    assert numbers["feefifod_rows_rejected_total"] == 2
    assert sum(numbers[f'feefifod_rows_sent_total{{lane="{lane}"}}'] for lane in ("ilp", "bulk")) == 800
    assert sum(numbers[f'feefifod_window_seconds_count{{lane="{lane}"}}'] for lane in ("ilp", "bulk")) >= 1
    assert numbers['feefifod_files{state="done"}'] == 2
    assert numbers['feefifod_ledger_rows{result="accepted"}'] == 800
    assert numbers[f'feefifod_table_rows{{table="{world.table}"}}'] == 800
    assert numbers[f'feefifod_table_suspended{{table="{world.table}"}}'] == 0
    assert numbers['feefifod_server_up{server="questdb"}'] == numbers['feefifod_server_up{server="postgres"}'] == 1
    assert numbers["feefifod_batches_in_flight"] == numbers["feefifod_checkpoint_lag_seconds"] == 0
    assert numbers["process_open_fds"] > 3

    shown = json.loads(world.run("status", "--json").text)
    served = ask(port, "/status").document
    # Only the daemon itself knows its last errors.
    [error] = served.pop("errors")
    assert error["error"].startswith("ADAUSD_60.csv was rejected: its only row is bad for one reason: ")
    assert served == shown
    assert shown["daemon"]["pid"] == daemon.pid

    _check_strangers(port)
    daemon.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/healthz")
    world.check()
    assert world.canary not in json.dumps(shown)


def _finished(port: int, count: int) -> dict[str, float]:
    numbers = ask(port, "/metrics").samples
    ended = sum(value for name, value in numbers.items() if name.startswith("feefifod_files_finished_total"))
    return numbers if ended == count and numbers['feefifod_files{state="done"}'] == 2 else {}


def _check_strangers(port: int) -> None:
    """Only reading, only as this machine, and nothing for a page of another origin."""
    for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80", "LOCALHOST"):
        assert ask(port, "/healthz", host=host).status == 200, host
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        "localhost@evil.example",
        "[::2]",
    ):
        assert ask(port, "/status", host=host).status in (400, 421), host
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        refused = ask(port, "/status", method=method)
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD"), method
    head = ask(port, "/status", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert ask(port, "/").status == ask(port, "/../etc/passwd").status == 404
    assert not any(name.startswith("access-control") for name in ask(port, "/status").headers)
    assert ask(port, "/" + "x" * 9000).status in (400, 414)


def test_a_busy_port_is_named_with_its_holder(world: World, port: int) -> None:
    """The second one to come says who was there first, and ends with 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = world.run(code=2)

    assert f"port {port} is busy" in process.text
    assert f"pid {os.getpid()}" in process.text
    assert "[http] listen" in process.text


def test_not_ready_says_why_and_stays_alive(world: World, pair: Endpoints, port: int) -> None:
    """With PostgreSQL refusing everybody it is not ready, and says so; it is alive all the same."""
    daemon = world.start()
    daemon.wait_for("watching")
    name = world.postgres_dsn.rpartition("/")[2]

    def administer(sql: str) -> None:
        asyncio.run(fetch(pair.postgres_dsn, sql))

    administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    administer(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}'")

    refused = wait_until(lambda: (a := ask(port, "/readyz")).status == 503 and a, what="not ready")
    [reason] = refused.document["reasons"]
    assert reason.startswith("postgres: ")
    assert ask(port, "/healthz").status == 200
    assert ask(port, "/metrics").samples['feefifod_server_up{server="postgres"}'] == 0
    assert ask(port, "/status").document["postgres"]["reachable"] is False

    administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    wait_until(lambda: ask(port, "/readyz").status == 200, what="ready again")
    daemon.stop()


def test_many_scrapes_under_load_cost_little(world: World, port: int) -> None:
    """Scrapes beside a load are all answered, quickly, and the load is not disturbed."""
    for number, pair in enumerate(("XBTUSD", "ETHUSD", "ADAUSD", "SOLUSD")):
        world.drop(f"{pair}_1.csv", samples.file(40_000, seed=number))
    daemon = world.start()
    daemon.wait_for("watching")

    def scrape(number: int) -> float:
        started = time.monotonic()
        assert ask(port, ("/metrics", "/status", "/readyz", "/healthz")[number % 4]).status == 200
        return time.monotonic() - started

    with ThreadPoolExecutor(8) as scrapers:
        seconds = sorted(scrapers.map(scrape, range(200)))
    assert seconds[-1] < 8
    world.wait_finished(4)
    daemon.stop()
    world.check()
