"""The clients talk to fake APIs over real HTTP; only the waits are short."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import SecretStr

from feefifod.sources.finnhub import Finnhub
from feefifod.sources.http import Patience
from feefifod.sources.massive import Massive
from tests.support.fake_finnhub import FakeFinnhub
from tests.support.fake_massive import FakeMassive

PATIENCE = Patience(
    backoff_seconds=0.01, backoff_cap_seconds=0.02, timeout_seconds=0.5, window_seconds=0.2, throttled_seconds=10.0
)


class LocalPacer:
    """The contract of a pacer, for one process."""

    def __init__(self, spacing: float = 0.0) -> None:
        self.spacing = spacing
        self.slots = 0
        self.held: list[float] = []
        self._next = 0.0
        self._lock = anyio.Lock()

    async def wait(self) -> None:
        async with self._lock:
            while (left := self._next - time.monotonic()) > 0:
                await anyio.sleep(left)
            self._next = time.monotonic() + self.spacing
            self.slots += 1

    async def hold_off(self, seconds: float) -> None:
        self.held.append(seconds)
        self._next = max(self._next, time.monotonic() + seconds)


@pytest.fixture
def pacer() -> LocalPacer:
    return LocalPacer()


@pytest.fixture
async def fake() -> AsyncIterator[FakeMassive]:
    """A fake Massive; whatever a test does, no key may travel outside its header."""
    async with FakeMassive() as server:
        yield server
    assert server.leaks() == []


@pytest.fixture
async def massive(fake: FakeMassive, pacer: LocalPacer) -> AsyncIterator[Massive]:
    async with Massive(fake.url, SecretStr(fake.key), pacer, patience=PATIENCE) as client:
        yield client


@pytest.fixture
async def fake_finnhub() -> AsyncIterator[FakeFinnhub]:
    async with FakeFinnhub() as server:
        yield server
    assert server.leaks() == []


@pytest.fixture
async def finnhub(fake_finnhub: FakeFinnhub, pacer: LocalPacer) -> AsyncIterator[Finnhub]:
    async with Finnhub(f"{fake_finnhub.url}/api/v1", SecretStr(fake_finnhub.key), pacer, patience=PATIENCE) as client:
        yield client
