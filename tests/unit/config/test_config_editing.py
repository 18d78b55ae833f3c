"""`config set`: one key changes, everything else stays, and a broken file is never written."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.config import load, replace_file, set_value, write_default
from feefifod.config.keys import leaf_keys
from feefifod.errors import ConfigError, Refused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(write_default())
    return path


def difference(before: str, after: str) -> list[str]:
    return [line for line in after.splitlines() if line not in before.splitlines()]


@pytest.mark.parametrize(
    ("key", "text", "line"),
    [
        ("watch.settle_seconds", "2", "settle_seconds = 2.0  # unchanged for this long: complete"),
        ("watch.poll", "yes", "poll = true  # poll instead of kernel events (network file systems)"),
        ("watch.intervals", "60,1440", "intervals = [60, 1440]  # minutes; empty takes all of them"),
        ("watch.tiers", '["TIER1"]', 'tiers = ["TIER1"]  # ["ALL"] or some of TIER1..TIER4'),
        ("embedded.http_port", "0", "http_port = 0  # QuestDB: HTTP, SQL and web console"),
        ("paths.data", "/srv/#drop", 'data = "/srv/#drop"  # the watched folder; subfolders are scanned too'),
        ("databases.questdb.password", "se#cret", 'password = "se#cret"  # HTTP basic password of an external server'),
        ("WATCH.poll", "true", "poll = true  # poll instead of kernel events (network file systems)"),
    ],
)
def test_only_the_keys_line_changes(file: Path, key: str, text: str, line: str) -> None:
    before = file.read_text()
    assert set_value(file, key, text, {}) is True
    assert difference(before, file.read_text()) == [line]
    assert len(before.splitlines()) == len(file.read_text().splitlines())


def test_setting_twice_ends_where_setting_once_does(file: Path) -> None:
    set_value(file, "paths.data", "a # b", {})
    once = file.read_text()
    set_value(file, "paths.data", "other", {})
    set_value(file, "paths.data", "a # b", {})
    assert file.read_text() == once


def test_a_new_key_goes_below_its_tables_header(file: Path) -> None:
    file.write_text("# mine\n[watch] # here\npoll = true\n\n[log]\nlevel = 'info'\n")
    assert set_value(file, "watch.settle_seconds", "2", {}) is True
    assert file.read_text() == "# mine\n[watch] # here\nsettle_seconds = 2.0\npoll = true\n\n[log]\nlevel = 'info'\n"


def test_a_new_table_goes_to_the_end(file: Path) -> None:
    before = file.read_text()
    assert set_value(file, "databases.Prod.url", "http://q:1", {}) is True
    assert set_value(file, "databases.prod.user", "me", {}) is True
    assert set_value(file, "tiers.tier1", "BTC,ETH", {}) is True
    assert difference(before, file.read_text()) == [
        "[databases.Prod]",
        'user = "me"',
        'url = "http://q:1"',
        "[tiers]",
        'TIER1 = ["BTC", "ETH"]',
    ]
    assert load(file, {}, file.parent).settings.databases["Prod"].user == "me"


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("")
    assert set_value(tmp_path / "c.toml", "log.level", "debug", {}) is True
    assert (tmp_path / "c.toml").read_text() == '[log]\nlevel = "debug"\n'


@pytest.mark.parametrize(
    "text",
    [
        "# gone\n[watch]\nintervals = [\n  60,\n  240,\n]\npoll = true\n",
        "# gone\nwatch = { intervals = [60], poll = true }\n",
        "# gone\nwatch.poll = true\nwatch.intervals = [\n  60\n]",
        "# gone\n[watch]\npoll = true\nintervals = [ # why\n  60,\n]\n",
    ],
)
def test_other_ways_of_writing_lose_comments_and_say_so(file: Path, text: str) -> None:
    file.write_text(text)
    assert set_value(file, "watch.intervals", "1", {}) is False
    assert tomllib.loads(file.read_text()) == {"watch": {"poll": True, "intervals": [1]}}
    assert "gone" not in file.read_text()


def test_text_that_only_looks_like_the_key_is_left_alone(file: Path) -> None:
    text = "[databases.questdb]\nuser = '''\ntable = 1\n'''\ntable = 'a'\n"
    file.write_text(text)
    set_value(file, "databases.questdb.table", "b", {})
    values = tomllib.loads(file.read_text())
    assert values == {"databases": {"questdb": {"user": "table = 1\n", "table": "b"}}}


def test_schedules_are_set_as_json(file: Path) -> None:
    schedule = '[{"name": "a", "cron": "0 5 * * *", "source": "massive", "all": true}]'
    assert set_value(file, "schedules", schedule, {}) is False
    (loaded,) = load(file, {}, file.parent).settings.schedules
    assert (loaded.name, loaded.all) == ("a", True)
    assert tomllib.loads(file.read_text())["schedules"] == [
        {"name": "a", "cron": "0 5 * * *", "source": "massive", "all": True}
    ]


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("watch.poll", "maybe", "VALUE: watch.poll must be true or false, not 'maybe'"),
        ("watch.pol", "true", "KEY: unknown key 'watch.pol'. Did you mean 'watch.poll'?"),
        ("watch", "{}", "KEY: watch is a table"),
        ("databases.new", "{}", "KEY: databases.new is a table"),
        ("paths.ingested", "data/x", "VALUE: paths.ingested lies inside paths.data"),
        ("postgres.url", "postgres://u:hunter2@h/d", "VALUE: postgres.url must be"),
        ("sources.finnhub.crypto_exchange", "c0ffee1234567890abcd", "looks like an API key"),
        ("schedules", '[{"name": "a"}]', "VALUE: schedules.0.cron is missing"),
        ("", "x", "KEY: unknown key"),
    ],
)
def test_what_would_break_the_file_is_refused(file: Path, key: str, text: str, words: str) -> None:
    before = file.read_bytes()
    with pytest.raises(ConfigError) as caught:
        set_value(file, key, text, {})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert file.read_bytes() == before


def test_a_wrong_file_can_be_mended(file: Path) -> None:
    file.write_text("[embedded]\nhttp_port = 'x'\n")
    with pytest.raises(ConfigError, match=r"config.toml:2: embedded.http_port"):
        set_value(file, "watch.poll", "true", {})
    set_value(file, "embedded.http_port", "1", {})
    assert load(file, {}, file.parent).settings.embedded.http_port == 1


def test_mode_and_link_are_kept_and_nothing_is_left_behind(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    set_value(link, "watch.poll", "true", {})
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert load(file, {}, tmp_path).settings.watch.poll is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "link.toml"]


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be written: No such file"):
        replace_file(tmp_path / "gone" / "config.toml", "")


@settings(deadline=None, max_examples=30)
@given(st.text())
def test_any_text_is_kept_or_refused(text: str) -> None:
    """What was set is what is read again, whatever the characters; comments stay."""
    import tempfile  # noqa: PLC0415 - hypothesis and pytest's tmp_path do not go together

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(write_default())
        before = file.read_bytes()
        try:
            kept = set_value(file, "databases.questdb.user", text, {})
        except ConfigError:
            assert file.read_bytes() == before
        else:
            assert kept
            assert load(file, {}, file.parent).settings.databases["questdb"].user == text


def test_every_key_of_the_default_stands_on_a_line_of_its_own(file: Path) -> None:
    loaded = load(file, {}, file.parent)
    commented = {"schedules", *(key for key in leaf_keys() if key.startswith("tiers."))}
    for key in set(leaf_keys()) - commented:
        assert loaded.origins[key].startswith(f"{file}:"), key


def test_a_key_may_be_typed_with_its_quotes(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("")
    set_value(file, '"watch.settle_seconds"', "2", {})
    assert "settle_seconds = 2" in file.read_text()
