"""The table is a function of the set of files: no order, no batching and no crash changes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import samples
from tests.support.checker import Dropped, check_rows, expect_rows
from tests.support.daemon import World
from tests.support.zips import pack

_HOUR: Final = 3600
_PLAIN: Final = (
    Dropped("XBTUSD_1.csv", samples.file(3_000, seed=1, trades=7)),
    Dropped("BTCUSD_1.csv", samples.file(2_000, seed=2, start=samples.START + 20 * _HOUR, trades=9)),
    Dropped("late/XBTUSD_1.csv", samples.file(500, seed=3, start=samples.START + 30 * _HOUR, trades=8)),
    # Against every candle of the others it wins or loses by chance.
    Dropped("mixed/XBTUSD_1.csv", samples.file(4_000, seed=4, start=samples.START + 5 * _HOUR, gaps=True)),
    # One trade count throughout: the volume decides.
    Dropped("even/XBTUSD_1.csv", samples.file(1_500, seed=5, start=samples.START + 10 * _HOUR, trades=9)),
    # No trade counts at all: they count as none.
    Dropped(
        "six/BTCUSD_1.csv",
        samples.text([row.rpartition(",")[0] for row in samples.rows(1_000, start=samples.START - 8 * _HOUR)]),
    ),
    # Out of order, so it takes the way of files that are sorted first.
    Dropped("back/XBTUSD_1.csv", samples.text(samples.rows(1_200, start=samples.START + 40 * _HOUR, seed=6)[::-1])),
    Dropped("ETHUSD_1.csv", samples.file(1_500, seed=7)),
)
_FILES: Final = (
    *_PLAIN[:-2],
    Dropped("Kraken.zip", pack({"XBTUSD_1.csv": _PLAIN[-2].content, "ETHUSD_1.csv": _PLAIN[-1].content})),
)
_TABLE: Final = expect_rows(_FILES)

plans = st.tuples(
    st.permutations(_FILES),
    # After each file: load what is there, to the end or for so many windows; or wait for more.
    st.lists(st.sampled_from((None, None, 99, 0, 1, 3)), min_size=len(_FILES), max_size=len(_FILES)),
    st.sampled_from(("ilp", "bulk")),
)


def _try(examples: int, *, new: bool = False) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=not new,
        database=None,
        print_blob=new,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def _carry_out(world: World, plan: tuple[list[Dropped], list[int | None], str]) -> None:
    order, loads, lane = plan
    world.configure(pipeline={"lane": lane})
    for file, windows in zip(order, loads, strict=True):
        world.drop(file.name, file.content)
        if windows is not None:
            left = [windows]

            def wanted(left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] < 0

            world.ingest(stop_after=wanted)
    world.ingest()
    facts = world.check()
    check_rows(facts.table, _TABLE, _FILES)


def test_model_agrees_that_order_does_not_matter() -> None:
    """Else the tests below would prove nothing."""
    assert expect_rows(_FILES[::-1]) == _TABLE


def test_any_order_any_batching_with_stops(worlds: Callable[[], AbstractContextManager[World]]) -> None:
    @_try(6)
    @given(plans)
    def run(plan: tuple[list[Dropped], list[int | None], str]) -> None:
        with worlds() as world:
            _carry_out(world, plan)

    run()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_any_order_any_batching_with_stops_for_long(worlds: Callable[[], AbstractContextManager[World]]) -> None:
    @_try(200, new=True)
    @given(plans)
    def run(plan: tuple[list[Dropped], list[int | None], str]) -> None:
        with worlds() as world:
            _carry_out(world, plan)

    run()
