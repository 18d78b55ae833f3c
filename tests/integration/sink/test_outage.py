"""QuestDB is killed in the middle of sending, comes back, and misses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import psutil

from feefifod.config.settings import QuestDBSettings
from feefifod.model import Frame
from feefifod.servers import Servers, look, use_servers
from feefifod.sink import Lane, QuestDBClient, ensure_table, wait_applied
from tests.integration.sink.conftest import Troubles, make_frame, make_lane, read_rows, rows_of
from tests.support.embedded import FREE_PORTS


@asynccontextmanager
async def supervised(state: Path) -> AsyncIterator[Servers]:
    async with use_servers(FREE_PORTS, state, postgres=False) as servers, anyio.create_task_group() as group:
        group.start_soon(servers.supervise)
        yield servers
        group.cancel_scope.cancel()


async def test_a_kill_in_the_middle_costs_time_but_no_row(tmp_path: Path) -> None:
    frames = [make_frame(10_000, asset_ids=(number,), seed=number) for number in range(1, 13)]
    troubles: dict[str, Troubles] = {"ilp": Troubles(), "bulk": Troubles()}
    async with supervised(tmp_path / "state") as servers, AsyncExitStack() as stack:
        url, import_dir = servers.endpoints.questdb_url, servers.endpoints.import_dir
        lanes: list[Lane] = []
        for name, told in troubles.items():
            settings = servers.endpoints.admit(QuestDBSettings(table=name))
            await ensure_table(QuestDBClient(settings, url), settings)
            lanes.append(make_lane(name, url, settings, import_dir, told.add))
            stack.push_async_callback(lanes[-1].close)

        async with anyio.create_task_group() as group:
            for lane, told in zip(lanes, troubles.values(), strict=True):
                group.start_soon(_send_all, lane, frames, told)
            await anyio.sleep(0.3)
            questdb = look(tmp_path / "state").questdb
            assert questdb is not None
            psutil.Process(questdb.pid).kill()

        for name, told in troubles.items():
            await wait_applied(QuestDBClient(servers.endpoints.admit(QuestDBSettings()), url), name, deadline=60)
            assert told
            assert read_rows(url, name) == rows_of(*frames)


async def _send_all(lane: Lane, frames: list[Frame], told: Troubles) -> None:
    """Send all frames, then again until the lane has felt the outage."""
    for frame in frames:
        await lane.send(frame)
    with anyio.fail_after(60):
        while not told:
            await lane.send(frames[0])
