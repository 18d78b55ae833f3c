"""The HTTP client survives what servers and networks do, within bounds, and keeps the key to itself."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
import structlog
from pydantic import SecretStr

from feefifod.errors import BadInput, ConfigError, FeefifodError, Unavailable
from feefifod.model import Category
from feefifod.sources.failure import NotFound, SourceStopped
from feefifod.sources.http import Patience
from feefifod.sources.massive import Massive
from feefifod.sources.symbols import name_for_massive
from tests.integration.sources.conftest import PATIENCE, LocalPacer
from tests.support import fake_api
from tests.support.certificates import Authority
from tests.support.fake_api import Fault, Limit, respond
from tests.support.fake_massive import TOO_MANY, FakeMassive

DAY = date(2026, 11, 18)
AAPL = name_for_massive("AAPL", Category.STOCK, "USD")
PASSING = {
    "500": respond(500, "<html><body>Internal Server Error</body></html>"),
    "502": respond(502, ""),
    "503": respond(503, {"error": "overloaded"}),
    "408": respond(408, ""),
    "html": respond(200, "<html>Login</html>"),
    "empty": respond(200, ""),
    "broken json": respond(200, '{"status": "OK", "results": [{'),
    "not an object": respond(200, "[1, 2]"),
    "NaN": respond(200, '{"status": "OK", "results": [NaN]}'),
    "deep": respond(200, "[" * 100_000),
    "reset": fake_api.reset,
    "truncated": fake_api.truncated,
    "not http": fake_api.garbage,
    "slow": fake_api.slow,
    "gzip bomb": fake_api.gzip_bomb,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_a_passing_failure_is_retried(
    fault: Fault, fake: FakeMassive, massive: Massive, pacer: LocalPacer
) -> None:
    fake.trade("AAPL", [DAY])
    fake.fail(fault, times=2)

    candles = await massive.read_range(AAPL, DAY, DAY)

    assert [candle.session for candle in candles] == [DAY]
    assert len(fake.calls) == 3
    assert pacer.slots == 3  # Each attempt took a slot: nothing was sent past the pacer.


@pytest.mark.parametrize("name", ["500", "broken json", "reset", "slow", "gzip bomb"])
async def test_a_lasting_failure_ends_in_unavailable(
    name: str, fake: FakeMassive, massive: Massive, pacer: LocalPacer
) -> None:
    fake.fail(PASSING[name], times=99)

    with pytest.raises(Unavailable, match="massive /v2/aggs/ticker/AAPL"):
        await massive.read_range(AAPL, DAY, DAY)

    assert len(fake.calls) == pacer.slots == PATIENCE.attempts


@pytest.mark.parametrize("fault", [fake_api.endless, fake_api.announced_huge])
async def test_a_huge_answer_is_cut_off_at_once(fault: Fault, fake: FakeMassive, massive: Massive) -> None:
    fake.fail(fault, times=99)

    with pytest.raises(BadInput, match="larger than 8 MiB"):
        await massive.read_range(AAPL, DAY, DAY)

    assert len(fake.calls) == 1


async def test_a_huge_error_page_is_not_read_whole(fake: FakeMassive, massive: Massive) -> None:
    fake.fail(respond(400, "x" * 20_000_000))

    with pytest.raises(BadInput, match="HTTP 400: xxx") as failure:
        await massive.read_range(AAPL, DAY, DAY)

    assert len(str(failure.value)) < 500


async def test_nobody_there() -> None:
    async with Massive("http://127.0.0.1:1", SecretStr("k"), LocalPacer(), patience=PATIENCE) as massive:
        with pytest.raises(Unavailable, match="refuses connections"):
            await massive.read_range(AAPL, DAY, DAY)


async def test_a_redirect_is_not_followed(fake: FakeMassive, massive: Massive) -> None:
    async with FakeMassive() as elsewhere:
        fake.fail(fake_api.redirect(f"{elsewhere.url}/v2/aggs"), times=99)

        with pytest.raises(SourceStopped, match="redirects"):
            await massive.read_range(AAPL, DAY, DAY)

        assert elsewhere.calls == []
    assert len(fake.calls) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, BadInput), (404, NotFound), (422, BadInput)])
async def test_a_refused_request_is_not_repeated(
    status: int, kind: type[FeefifodError], fake: FakeMassive, massive: Massive
) -> None:
    fake.fail(respond(status, {"message": "no such thing"}), times=99)

    with pytest.raises(kind, match=f"HTTP {status}: no such thing"):
        await massive.read_range(AAPL, DAY, DAY)

    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "0.4"}, 0.4),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.2),
        ({"Retry-After": "999999999"}, 300.0),
        ({"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}, 300.0),
        ({"Retry-After": "soon"}, 0.2),
        ({"Retry-After": "-5"}, 0.2),
        ({}, 0.2),
    ],
)
async def test_retry_after_is_honoured_and_capped(
    headers: Mapping[str, str], expected: float, fake: FakeMassive
) -> None:
    class Impatient(LocalPacer):
        async def hold_off(self, seconds: float) -> None:
            self.held.append(seconds)

    pacer = Impatient()
    fake.trade("AAPL", [DAY])
    fake.fail(respond(429, TOO_MANY, headers=dict(headers)))
    patience = Patience(window_seconds=0.2)

    async with Massive(fake.url, SecretStr(fake.key), pacer, patience=patience) as massive:
        await massive.read_range(AAPL, DAY, DAY)

    assert pacer.held == [pytest.approx(expected, abs=1.0 if expected == 0.2 else 0.001)]


async def test_retry_after_as_a_date(fake: FakeMassive, massive: Massive, pacer: LocalPacer) -> None:
    fake.trade("AAPL", [DAY])
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    fake.fail(respond(429, "", headers={"Retry-After": when}))

    await massive.read_range(AAPL, DAY, DAY)

    assert pacer.held == [pytest.approx(1.5, abs=0.6)]


async def test_throttling_without_end_ends(fake: FakeMassive) -> None:
    fake.fail(respond(429, TOO_MANY), times=10_000)
    patience = Patience(window_seconds=0.01, throttled_seconds=3.0)

    async with Massive(fake.url, SecretStr(fake.key), LocalPacer(), patience=patience) as massive:
        with pytest.raises(Unavailable, match=r"exceeded the maximum.*calls_per_minute") as failure:
            await massive.read_range(AAPL, DAY, DAY)

    assert failure.value.retry_after_seconds is not None
    assert len(fake.calls) < 300


async def test_a_storm_of_429_ends_with_the_right_rows_and_the_limit_kept() -> None:
    """Paced calls of two clients on one pacer never exceed the server's limit; what it still refuses is waited out."""
    sessions = [DAY - timedelta(days=n) for n in range(3)]
    tickers = [f"T{n}" for n in range(12)]
    async with FakeMassive(limits=(Limit(5, 0.5),)) as fake:
        for ticker in tickers:
            fake.trade(ticker, sessions)
        fake.fail(respond(429, ""), times=3, path="/T3/")
        fake.fail(respond(429, TOO_MANY), times=2, path="/T7/")
        pacer = LocalPacer(0.5 / 5 * 1.05)
        patience = Patience(window_seconds=0.5)
        found = {}

        async def pull(share: list[str]) -> None:
            async with Massive(fake.url, SecretStr(fake.key), pacer, patience=patience) as massive:
                for ticker in share:
                    symbol = name_for_massive(ticker, Category.STOCK, "USD")
                    found[ticker] = await massive.read_range(symbol, sessions[-1], sessions[0])

        async with anyio.create_task_group() as group:
            group.start_soon(pull, tickers[::2])
            group.start_soon(pull, tickers[1::2])

        assert {ticker: len(candles) for ticker, candles in found.items()} == dict.fromkeys(tickers, 3)
        assert fake.rejected == 0
        assert fake.most_calls(0.5) <= 5


async def test_the_key_appears_in_no_error_and_no_log(fake: FakeMassive) -> None:
    """Also when the server sends it back, and with the whole chain of exceptions and their attributes."""
    faults = [
        respond(401, {"error": f"Unknown API Key {fake.key}"}),
        respond(400, f"bad request by {fake.key}"),
        respond(429, {"error": f"slow down, {fake.key}"}),
        respond(302, "", headers={"Location": f"https://evil.example/?apiKey={fake.key}"}),
        respond(500, {"error": fake.key}),
        respond(200, {"status": f"ERROR {fake.key}", "error": fake.key}),
        respond(200, {"status": "OK", "ticker": fake.key}),
        fake_api.garbage,
        fake_api.reset,
    ]
    seen = []
    with structlog.testing.capture_logs() as logs:
        for fault in faults:
            fake.fail(fault, times=3)
            patience = Patience(attempts=3, backoff_seconds=0.01, window_seconds=0.01, throttled_seconds=1.0)
            async with Massive(fake.url, SecretStr(fake.key), LocalPacer(), patience=patience) as massive:
                while not fake.is_over_its_faults:
                    with pytest.raises(FeefifodError) as failure:
                        await massive.read_range(AAPL, DAY, DAY)
                    assert failure.value.__cause__ is None
                    seen.append(f"{failure.value} {failure.value!r} {vars(failure.value)}")

    assert len(seen) >= len(faults)
    assert len(logs) > 8
    assert fake.key not in str(seen) + str(logs)
    assert "(key)" in str(seen)
    assert "(key)" in str(logs)


@pytest.mark.parametrize(
    "base_url",
    ["", "api.massive.com", "ftp://x", "https://", "https://u:p@h", "http://h/?a=b", "http://h:99999", "http://[::1"],
)
def test_a_wrong_base_url_is_named(base_url: str) -> None:
    with pytest.raises(ConfigError, match=r"sources\.massive\.base_url"):
        Massive(base_url, SecretStr("k"), LocalPacer())


async def test_a_proxy_of_the_environment_is_not_used(
    fake: FakeMassive, massive: Massive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    fake.trade("AAPL", [DAY])

    assert len(await massive.read_range(AAPL, DAY, DAY)) == 1


async def test_a_cancelled_call_stops_at_once(fake: FakeMassive, massive: Massive) -> None:
    fake.fail(fake_api.slow, times=99)
    started = time.monotonic()

    with anyio.move_on_after(0.2):
        await massive.read_range(AAPL, DAY, DAY)

    assert time.monotonic() - started < 0.6


async def test_an_authority_that_nobody_knows_ends_the_run_at_once(tmp_path: Path) -> None:
    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    pacer = LocalPacer()
    async with await asyncio.start_server(
        serve, "127.0.0.1", 0, ssl=Authority(tmp_path).sign("DNS:localhost")
    ) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with Massive(url, SecretStr("k"), pacer, patience=PATIENCE) as massive:
            with pytest.raises(SourceStopped, match="signed by no authority"):
                await massive.read_range(AAPL, DAY, DAY)

    assert pacer.slots == 1


async def test_a_misspelt_host_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "whatever")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    async with Massive("https://api.masive.example", SecretStr("k"), LocalPacer(), patience=PATIENCE) as massive:
        with pytest.raises(SourceStopped, match=r"no host of the name api\.masive\.example"):
            await massive.read_range(AAPL, DAY, DAY)
