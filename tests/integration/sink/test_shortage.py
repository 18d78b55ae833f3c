"""Want of memory maps suspends a table; when they are free again, it goes on by itself and leaves nothing out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Unavailable
from feefifod.patience import persist
from feefifod.sink import IlpLane, QuestDBClient, Suspended, ensure_table, resume_if_short, wait_applied
from feefifod.sink.apply import is_short
from tests.integration.sink.conftest import Troubles, make_frame, read_rows, rows_of
from tests.support.embedded import run_pair, servers_below

_DAY_US = 86_400_000_000
_DAYS = 8_000


@contextmanager
def starved(process: psutil.Process) -> Iterator[None]:
    """Let a process have no more address space: then `mmap` fails as it does when there are no more maps."""
    kind = psutil.RLIMIT_AS
    before = process.rlimit(kind)
    process.rlimit(kind, (process.memory_info().vms, before[1]))
    try:
        yield
    finally:
        process.rlimit(kind, before)


async def wait_suspended(client: QuestDBClient, table: str) -> Suspended:
    """Wait until waiting for rows meets a suspended table."""
    while True:
        try:
            await wait_applied(client, table)
        except Suspended as error:
            return error
        except Unavailable:
            await anyio.sleep(0.1)  # A question may find no room either.
        else:
            pytest.fail("the rows were visible before there was no room for them")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits of another process are Linux'")
async def test_it_goes_on_by_itself_when_there_are_maps_again(tmp_path: Path, troubles: Troubles) -> None:
    frame = make_frame(_DAYS, asset_ids=(1,), quotes=("USD",))
    frame.time_us[:] = 1_000_000_000_000_000 + _DAY_US * (frame.time_us - frame.time_us[0]) // 60_000_000
    with run_pair(tmp_path, external=True) as endpoints:
        [java] = [process for process in servers_below(tmp_path) if process.name() == "java"]
        settings = QuestDBSettings(url=endpoints.questdb_url, table="prices", partition_by="DAY")
        client = QuestDBClient(settings, settings.url)
        await ensure_table(client, settings)
        lane = IlpLane(settings.url, settings)
        await lane.send(frame)
        await lane.close()
        with starved(java), anyio.fail_after(30):
            suspended = await wait_suspended(client, "prices")
        assert "it is resumed" in suspended.why
        assert "max_map_count" in suspended.remedy

        await persist(lambda: wait_applied(client, "prices"), troubles.add)

        assert read_rows(settings.url, "prices") == rows_of(frame)


@pytest.mark.parametrize(
    ("tag", "message", "short"),
    [
        ("OUT OF MMAP AREAS", "could not mmap  [size=37408, offset=102400, fd=1]", True),
        ("TOO MANY OPEN FILES", "could not open, errno=24", True),
        ("OUT OF MEMORY", "", True),
        ("", "bulk update failed and will be rolled back", False),
        ("", "could not mmap column [fd=7, errno=12]", True),
        ("DISK FULL", "could not write, errno=28", False),
        ("", "could not create directories [errno=17]", False),
        ("", "", False),
        (None, None, False),
    ],
)
def test_only_what_may_be_over_by_itself_is_tried_again(tag: str | None, message: str | None, short: bool) -> None:
    assert is_short(tag, message) is short


async def test_a_cause_that_is_not_told_is_tried_again_after_a_while(client: QuestDBClient, table: str) -> None:
    """A worker that finds no maps says only that the bulk update failed; so does one that meets an obstacle."""
    why = "bulk update failed and will be rolled back"
    assert not await resume_if_short(client, table, "", why)
    client.suspended_since[table] -= 10

    assert await resume_if_short(client, table, "", why)
    assert not await resume_if_short(client, table, "", why), "the pause begins anew"
    client.suspended_since[table] -= 10
    assert not await resume_if_short(client, table, "DISK FULL", "errno=28")
