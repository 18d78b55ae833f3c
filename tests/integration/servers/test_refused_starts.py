"""Servers that cannot start say why, in one sentence, and are not tried again where that would not help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from feefifod.errors import Refused
from feefifod.servers import use_servers
from tests.support.embedded import FREE_PORTS


async def test_a_heap_larger_than_java_can_have(state: Path) -> None:
    settings = FREE_PORTS.model_copy(update={"heap_mib": 10**13})

    with pytest.raises(Refused, match=r"heap is larger.*heap_mib"):
        async with use_servers(settings, state, postgres=False):
            pass


async def test_data_that_others_may_read(state: Path) -> None:
    async with use_servers(FREE_PORTS, state, questdb=False):
        pass
    (state / "postgres" / "data").chmod(0o777)

    with pytest.raises(Refused, match="others may read it"):
        async with use_servers(FREE_PORTS, state, questdb=False):
            pass


async def test_an_earlier_trouble_in_the_log_is_not_taken_for_this_one(state: Path) -> None:
    async with use_servers(FREE_PORTS, state, questdb=False):
        pass
    with (state / "servers" / "postgres.log").open("a", encoding="ascii") as log:
        log.write("FATAL:  could not write: No space left on device\n")
    data = state / "postgres" / "data"
    (data / "PG_VERSION").write_text("12\n", encoding="ascii")
    os.chown(data / "PG_VERSION", data.stat().st_uid, data.stat().st_gid)

    with pytest.raises(Refused, match="another version"):
        async with use_servers(FREE_PORTS, state, questdb=False):
            pass
