"""An acknowledgement is not visibility: waiting for it, and noticing that it will not come."""

from __future__ import annotations

from pathlib import Path

import pytest

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Refused, Unavailable
from feefifod.servers import Endpoints
from feefifod.sink import IlpLane, QuestDBClient, Suspended, describe_table, drop_table, wait_applied
from tests.integration.sink.conftest import START_US, make_frame, read_rows, rows_of

DAY_US = 86_400_000_000


async def test_what_was_acknowledged_is_visible_afterwards(
    client: QuestDBClient, settings: QuestDBSettings, table: str
) -> None:
    progress: list[int] = []
    frame = make_frame(50_000)
    lane = IlpLane(settings.url, settings, piece_rows=5_000)
    await lane.send(frame)
    await lane.close()

    await wait_applied(client, table, poll=0.01, on_progress=progress.append)

    facts = await describe_table(client, table)
    assert facts is not None
    assert (facts.rows, facts.first_us, facts.last_us) == (50_000, frame.time_us[0], frame.time_us[-1])
    assert (facts.pending_transactions, facts.suspended) == (0, False)
    assert progress[-1] == 0


async def test_a_suspended_table_is_noticed_although_it_takes_rows(
    client: QuestDBClient, settings: QuestDBSettings, table: str, pair: Endpoints
) -> None:
    before, after = make_frame(10), make_frame(20, start_us=START_US + 31 * DAY_US)
    lane = IlpLane(settings.url, settings)
    await lane.send(before)
    await wait_applied(client, table)
    obstacles = await obstruct(client, table, pair, "2017-08")

    receipt = await lane.send(after)

    assert receipt.rows == 20
    with pytest.raises(Suspended) as error:
        await wait_applied(client, table, deadline=60)
    assert isinstance(error.value, Unavailable)
    facts = await describe_table(client, table)
    assert facts is not None
    assert (facts.rows, facts.suspended, facts.pending_transactions) == (10, True, 1)

    # The remedy that the error names brings the rows back.
    for obstacle in obstacles:
        obstacle.unlink()
    await client.query(error.value.remedy.partition("run: ")[2])
    await wait_applied(client, table)
    await lane.close()

    assert read_rows(settings.url, table) == rows_of(before, after)


async def obstruct(client: QuestDBClient, table: str, pair: Endpoints, month: str) -> list[Path]:
    """Put files where QuestDB would make the folder of a month's partition, whatever its version."""
    [[folder]] = (await client.query(f"SELECT directoryName FROM tables() WHERE table_name = '{table}'")).rows
    root = pair.import_dir.parent / "db" / folder
    obstacles = [root / month, *(root / f"{month}.{version}" for version in range(20))]
    for obstacle in obstacles:
        obstacle.touch()
    return obstacles


async def test_an_untouched_table_is_applied(client: QuestDBClient, table: str) -> None:
    await wait_applied(client, table, deadline=5)


async def test_a_table_that_is_gone_is_refused(client: QuestDBClient, table: str) -> None:
    await drop_table(client, table)

    with pytest.raises(Refused, match="gone"):
        await wait_applied(client, table)


async def test_rows_of_later_sends_are_not_waited_for_in_vain(
    client: QuestDBClient, settings: QuestDBSettings, table: str
) -> None:
    lane = IlpLane(settings.url, settings)
    frame = make_frame(100)
    for _ in range(3):
        await lane.send(frame)
        await wait_applied(client, table)
    await lane.close()

    assert read_rows(settings.url, table) == rows_of(frame)
