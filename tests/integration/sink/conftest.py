from __future__ import annotations

import asyncio
import contextlib
import io
import random
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Unavailable
from feefifod.model import INT_NULL, Frame, Source
from feefifod.patience import OnTrouble
from feefifod.servers import Endpoints
from feefifod.sink import BulkLane, IlpLane, Lane, QuestDBClient, ensure_table
from tests.support.embedded import get, unique_name

START_US = 1_500_000_000_000_000 // 60_000_000 * 60_000_000


@pytest.fixture
def settings(pair: Endpoints) -> QuestDBSettings:
    return QuestDBSettings(url=pair.questdb_url, table=unique_name("prices"))


@pytest.fixture
def client(settings: QuestDBSettings) -> QuestDBClient:
    return QuestDBClient(settings, settings.url)


@pytest.fixture
async def table(client: QuestDBClient, settings: QuestDBSettings) -> str:
    await ensure_table(client, settings)
    return settings.table


class Troubles(list[Unavailable]):
    """What a lane told of failed attempts."""

    def add(self, error: Unavailable, attempt: int) -> None:
        self.append(error)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


LaneAt = Callable[[str], Lane]


@pytest.fixture(params=["ilp", "bulk"])
def lane_at(request: pytest.FixtureRequest, settings: QuestDBSettings, pair: Endpoints, troubles: Troubles) -> LaneAt:
    """Makes lanes into the test's table that reach the server at a URL: the server's own, or a proxy's."""

    def make(url: str) -> Lane:
        return make_lane(request.param, url, settings, pair.import_dir, troubles.add)

    return make


@pytest.fixture
async def lane(lane_at: LaneAt, settings: QuestDBSettings, table: str) -> AsyncIterator[Lane]:
    lane = lane_at(settings.url)
    yield lane
    await lane.close()


def make_lane(name: str, url: str, settings: QuestDBSettings, import_dir: Path, on_trouble: OnTrouble) -> Lane:
    if name == "ilp":
        # Small pieces, so that frames of test size go in several, too.
        return IlpLane(url, settings, on_trouble=on_trouble, piece_rows=1_000)
    return BulkLane(QuestDBClient(settings, url), settings.table, import_dir, on_trouble=on_trouble)


def make_frame(
    rows: int = 100,
    *,
    asset_ids: tuple[int, ...] = (1, 2, 3),
    quotes: tuple[str, ...] = ("USD", "EUR"),
    start_us: int = START_US,
    seed: int = 1,
    **columns: Any,
) -> Frame:
    """Make rows of several series, sorted by time; `columns` replaces columns of them."""
    random_numbers = np.random.default_rng(seed)
    series = len(asset_ids) * len(quotes)
    index = np.arange(rows)
    price = random_numbers.lognormal(3, 3, rows)
    made = {
        "time_us": start_us + index // series * 60_000_000,
        "asset_id": np.array(asset_ids, np.int32)[index % len(asset_ids)],
        "open": price,
        "high": price * 1.01,
        "low": price * 0.99,
        "close": price / 3,
        "volume": random_numbers.exponential(10, rows),
        "interval_minutes": np.full(rows, 1, np.int32),
        "trade_count": random_numbers.integers(0, 2**31 - 1, rows, dtype=np.int32),
        "quote_code": (index // len(asset_ids) % len(quotes)).astype(np.int32),
    }
    return Frame(**(made | columns), quotes=quotes, source=Source.KRAKEN)


Row = tuple[Any, ...]


def rows_of(*frames: Frame) -> list[Row]:
    """List what the table must hold, doubles as their bits, in the table's order of keys."""
    rows: list[Row] = []
    for frame in frames:
        quotes = [frame.quotes[code] for code in frame.quote_code]
        counts = [None if count == INT_NULL else count for count in frame.trade_count.tolist()]
        columns = [getattr(frame, field.name) for field in fields(Frame)[2:7]]
        doubles = [column.view(np.int64).tolist() for column in columns]
        source = [str(frame.source)] * len(frame)
        rows += zip(
            frame.time_us.tolist(),
            frame.asset_id.tolist(),
            frame.interval_minutes.tolist(),
            source,
            quotes,
            counts,
            *doubles,
            strict=True,
        )
    return sorted(rows, key=lambda row: row[:5])


def read_rows(url: str, table: str) -> list[Row]:
    """Read the table as Parquet, the way that keeps every bit of a double."""
    question = urllib.parse.urlencode({"query": f"SELECT * FROM {table}", "fmt": "parquet"})
    stored = parquet.read_table(io.BytesIO(get(f"{url}/exp?{question}", seconds=60)))
    keys = ("time", "asset_id", "interval_minutes", "source", "quote_currency", "trade_count")
    columns = [stored[key].cast(pa.int64()).to_pylist() if key == "time" else stored[key].to_pylist() for key in keys]
    columns += [stored[name].to_numpy().view(np.int64).tolist() for name in ("open", "high", "low", "close", "volume")]
    return sorted(zip(*columns, strict=True), key=lambda row: row[:5])


class Faults:
    """A TCP proxy before QuestDB that misbehaves for some connections, then is honest.

    `script` holds one word for each coming connection: `swallow` carries the request out and drops the answer,
    `reset` hangs up at once, `hang` takes everything in and stays silent.
    """

    def __init__(self, target: str) -> None:
        self.script: list[str] = []
        self.url = ""
        self._target = urllib.parse.urlsplit(target)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self.script.pop(0) if self.script else ""
        if fault == "hang":
            await reader.read()
        elif fault != "reset":
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer, swallow=fault == "swallow"))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, swallow: bool = False) -> None:
    with contextlib.suppress(ConnectionError):
        while (piece := await source.read(65_536)) and not swallow:
            target.write(piece)
            await target.drain()
    await _close(target)


async def _close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        writer.close()
        await writer.wait_closed()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Serve on a free port; gives the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(accept(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Transports close in the turns of the loop after the call.
        await asyncio.sleep(0.01)


@pytest.fixture
async def faults(pair: Endpoints) -> AsyncIterator[Faults]:
    faults = Faults(pair.questdb_url)
    async with listening(faults.serve) as faults.url:
        yield faults


def shuffled(frame: Frame, seed: int) -> Frame:
    """Give the same keys other values."""
    order = list(range(len(frame)))
    random.Random(seed).shuffle(order)
    values = {name: getattr(frame, name)[order] for name in ("open", "high", "low", "close", "volume")}
    kept = {field.name: getattr(frame, field.name) for field in fields(Frame)}
    return Frame(**(kept | values))
