"""What both lanes promise: every row once, bit by bit, whatever happens to the connection."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import anyio
import numpy as np
import pytest

from feefifod.config.settings import QuestDBSettings
from feefifod.errors import Refused
from feefifod.model import INT_NULL, Frame
from feefifod.partitioning import MOST_PARTITIONS
from feefifod.servers import Endpoints
from feefifod.sink import IlpLane, Lane, QuestDBClient, drop_table, ensure_table, send_in_steps, wait_applied
from tests.integration.sink.conftest import START_US, Faults, LaneAt, Troubles, make_frame, read_rows, rows_of, shuffled
from tests.support.embedded import unique_name


@pytest.fixture(params=["DAY", "WEEK", "MONTH", "YEAR"])
def settings(request: pytest.FixtureRequest, pair: Endpoints) -> QuestDBSettings:
    """The promises are the same for each partitioning."""
    return QuestDBSettings(url=pair.questdb_url, table=unique_name("prices"), partition_by=request.param)


EXTREME = [0.0, 5e-324, 2.2250738585072014e-308, 0.1 + 0.2, 1 / 3, 1e22, 123456789.12345678, 1.7976931348623157e308]


async def test_every_bit_of_a_row_arrives(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    doubles = np.array(EXTREME)
    frame = make_frame(
        len(EXTREME),
        asset_ids=(1, 2**31 - 1),
        open=doubles,
        high=doubles[::-1].copy(),
        low=np.roll(doubles, 1),
        close=np.roll(doubles, 2),
        volume=np.roll(doubles, 3),
        trade_count=np.array([INT_NULL, 0, 1, 2**31 - 1, 7, INT_NULL, 8, 9], np.int32),
        interval_minutes=np.array([1, 5, 15, 30, 60, 240, 720, 1440], np.int32),
    )

    receipt = await lane.send(frame)
    await wait_applied(client, settings.table)

    assert (receipt.rows, receipt.lane, receipt.attempts) == (8, lane.name, 1)
    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_times_are_exact_to_the_microsecond(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    times = np.array([0, 1, 1_231_006_505_000_000, 1_700_000_000_123_457, 4_102_444_799_999_999])
    frame = make_frame(5, time_us=times)

    await lane.send(frame)
    await wait_applied(client, settings.table)

    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_a_frame_of_many_pieces_and_quotes_arrives_whole(
    lane: Lane, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    frame = make_frame(5_003, quotes=("USD", "EUR", "BTC", "USDT", "AUSD"))

    receipt = await lane.send(frame)
    await wait_applied(client, settings.table)

    assert receipt.rows == 5_003
    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_a_repeated_frame_adds_nothing(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    frame = make_frame(2_500)

    for _ in range(3):
        await lane.send(frame)
    await wait_applied(client, settings.table)

    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_the_last_write_wins(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    frame = make_frame(2_500)
    corrected = shuffled(frame, seed=5)

    await lane.send(frame)
    await lane.send(corrected)
    await wait_applied(client, settings.table)

    assert read_rows(settings.url, settings.table) == rows_of(corrected)


async def test_steps_of_a_sparse_frame_are_visible_one_after_the_other(
    lane: Lane, client: QuestDBClient, settings: QuestDBSettings, troubles: Troubles
) -> None:
    """Years of daily candles touch few partitions at a time; what was sent of them is visible before the rest is."""
    days = 2 * MOST_PARTITIONS + 10
    frame = make_frame(days, asset_ids=(1,), quotes=("USD",), time_us=START_US + np.arange(days) * 86_400_000_000)
    waits: list[int] = []

    async def patiently(attempt: Callable[[], Awaitable[None]]) -> None:
        await attempt()
        waits.append(len(read_rows(settings.url, settings.table)))

    receipt = await send_in_steps(lane, frame, client, settings.table, patiently)
    await wait_applied(client, settings.table)

    assert (receipt.rows, receipt.lane) == (days, lane.name)
    expected = [MOST_PARTITIONS, 2 * MOST_PARTITIONS, days] if settings.partition_by == "DAY" else []
    assert waits == expected
    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_concurrent_frames_all_arrive(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    frames = [make_frame(1_700, asset_ids=(10 * number,), seed=number) for number in range(1, 7)]

    async with anyio.create_task_group() as group:
        for frame in frames:
            group.start_soon(lane.send, frame)
    await wait_applied(client, settings.table)

    assert read_rows(settings.url, settings.table) == rows_of(*frames)


async def test_an_empty_frame_is_acknowledged_at_once(
    lane: Lane, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    receipt = await lane.send(make_frame(0))

    assert receipt.rows == 0
    assert read_rows(settings.url, settings.table) == []


async def test_rows_for_a_table_that_is_gone_are_refused_at_once(
    lane: Lane, client: QuestDBClient, settings: QuestDBSettings, troubles: Troubles
) -> None:
    await drop_table(client, settings.table)

    with pytest.raises(Refused, match="does not exist"):
        await lane.send(make_frame(10))

    assert troubles == []


async def test_refused_frames_take_no_room_from_later_ones(
    lane: Lane, client: QuestDBClient, settings: QuestDBSettings
) -> None:
    frame = make_frame(3_500)
    await drop_table(client, settings.table)
    for _ in range(8):
        with pytest.raises(Refused):
            await lane.send(frame)
    await ensure_table(client, settings)

    with anyio.fail_after(30):
        await lane.send(frame)
    await wait_applied(client, settings.table)

    assert read_rows(settings.url, settings.table) == rows_of(frame)


async def test_times_before_1970_are_refused(lane: Lane, client: QuestDBClient, settings: QuestDBSettings) -> None:
    with pytest.raises(Refused, match="1970"):
        await lane.send(make_frame(2, time_us=np.array([-1, 1])))

    assert read_rows(settings.url, settings.table) == []


@pytest.mark.parametrize("fault", ["swallow", "reset"])
async def test_a_lost_connection_is_repeated_without_a_trace(
    fault: str,
    lane_at: LaneAt,
    client: QuestDBClient,
    settings: QuestDBSettings,
    table: str,
    faults: Faults,
    troubles: Troubles,
) -> None:
    frame = make_frame(2_500)
    faults.script = [fault, fault]
    lane = lane_at(faults.url)

    receipt = await lane.send(frame)
    await wait_applied(client, table)
    await lane.close()

    assert receipt.attempts == 3
    assert len(troubles) == 2
    assert read_rows(settings.url, table) == rows_of(frame)


async def test_a_cancelled_send_leaves_the_lane_usable(
    lane_at: LaneAt, client: QuestDBClient, settings: QuestDBSettings, table: str, faults: Faults, pair: Endpoints
) -> None:
    frame = make_frame(2_500)
    faults.script = ["hang"]
    lane = lane_at(faults.url)

    started = anyio.current_time()
    with anyio.move_on_after(0.3) as scope:
        await lane.send(frame)
    assert scope.cancelled_caught
    assert anyio.current_time() - started < 3

    await lane.send(frame)
    await wait_applied(client, table)
    await lane.close()

    assert read_rows(settings.url, table) == rows_of(frame)
    assert list(pair.import_dir.glob(f"feefifod-*-{os.getpid()}-*")) == []


async def test_a_small_frame_does_not_wait_for_a_large_one(settings: QuestDBSettings, table: str) -> None:
    """The large one is sixty turns long; the small one gets the next turn."""
    lane = IlpLane(settings.url, settings, piece_rows=1_000)
    large = make_frame(60_000)
    small = make_frame(10, asset_ids=(77,))
    ends: dict[str, float] = {}

    async def send(name: str, frame: Frame) -> None:
        await lane.send(frame)
        ends[name] = anyio.current_time()

    async with anyio.create_task_group() as group:
        group.start_soon(send, "large", large)
        await anyio.sleep(0.05)
        group.start_soon(send, "small", small)

    await lane.close()
    assert ends["small"] < ends["large"]
