"""Where the configuration is found, what overrides what, and what an error says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feefifod.config import Loaded, QuestDBSettings, Settings, load, pick_database
from feefifod.config import loading as loading_module
from feefifod.config.keys import leaf_keys
from feefifod.errors import ConfigError
from feefifod.model import Tier

SCHEDULE = '[[schedules]]\nname = "a"\ncron = "0 5 * * *"\nsource = "massive"\n'
SECRET = "hunter2-unspeakable"


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading_module, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")


def read(tmp_path: Path, text: str, **environ: str) -> Loaded:
    (tmp_path / "config.toml").write_text(text)
    return load(None, environ, tmp_path)


def fail(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **environ)
    return str(caught.value)


class TestSearch:
    def test_none_found_means_defaults_relative_to_the_working_folder(self, tmp_path: Path) -> None:
        loaded = load(None, {}, tmp_path)
        assert (loaded.file, loaded.base) == (None, tmp_path)
        assert loaded.settings.paths.data == tmp_path / "data"
        assert loaded.settings.paths.state == tmp_path / ".feefifod"

    def test_order(self, tmp_path: Path) -> None:
        """--config wins over the variable, that over ./config.toml, that over the system's file."""
        for number, place in enumerate(["etc/config.toml", "config.toml", "variable.toml", "option.toml"], 1):
            (tmp_path / place).parent.mkdir(exist_ok=True)
            (tmp_path / place).write_text(f"pipeline.workers = {number}\n")
        variable = {"FEEFIFOD_CONFIG": "variable.toml"}

        def workers(option: Path | None, environ: dict[str, str]) -> int:
            return load(option, environ, tmp_path).settings.pipeline.workers

        assert workers(Path("option.toml"), variable) == 4
        assert workers(None, variable) == 3
        assert workers(None, {}) == 2
        (tmp_path / "config.toml").unlink()
        assert workers(None, {}) == 1

    @pytest.mark.parametrize("environ", [{}, {"FEEFIFOD_CONFIG": "gone.toml"}])
    def test_a_named_file_must_exist(self, tmp_path: Path, environ: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file.*config init"):
            load(None if environ else Path("gone.toml"), environ, tmp_path)

    def test_relative_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "conf"
        folder.mkdir()
        text = '[paths]\ndata = "../in"\ningested = "/abs"\n[databases.questdb]\nimport_dir = "imports"\n'
        (folder / "f.toml").write_text(text)
        loaded = load(Path("conf/f.toml"), {}, tmp_path)
        assert loaded.base == folder
        assert loaded.settings.paths.data == tmp_path / "in"
        assert loaded.settings.paths.ingested == Path("/abs")
        assert loaded.settings.paths.rejected == folder / "rejected"
        assert loaded.settings.databases["questdb"].import_dir == str(folder / "imports")

    def test_home_is_expanded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        assert read(tmp_path, 'paths.data = "~/drop"').settings.paths.data == Path("/home/somebody/drop")

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path, {}, tmp_path)

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").write_bytes(b"a = '\xff'")
        with pytest.raises(ConfigError, match="UTF-8"):
            load(None, {}, tmp_path)

    def test_a_byte_order_mark_and_crlf_do_no_harm(self, tmp_path: Path) -> None:
        (tmp_path / "config.toml").write_bytes("\ufeff[watch]\r\npoll = true\r\n".encode())
        assert load(None, {}, tmp_path).settings.watch.poll is True


class TestEnvironment:
    def test_overrides_the_file_key_by_key(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, "[watch]\npoll = true\nsettle_seconds = 3", FEEFIFOD__WATCH__SETTLE_SECONDS="2.5")
        assert (loaded.settings.watch.poll, loaded.settings.watch.settle_seconds) == (True, 2.5)
        assert loaded.origins["watch.settle_seconds"] == "FEEFIFOD__WATCH__SETTLE_SECONDS"
        assert loaded.origins["watch.poll"] == f"{tmp_path}/config.toml:2"
        assert "watch.rescan_seconds" not in loaded.origins

    @pytest.mark.parametrize("key", leaf_keys())
    def test_every_key_can_be_set(self, tmp_path: Path, key: str) -> None:
        special = {
            "databases.questdb.url": "http://h:1",
            "postgres.url": "postgresql://u@h/d",
            "alerts.webhook_url": "https://h/hook",
            "sources.massive.base_url": "http://127.0.0.1:1",
            "sources.finnhub.base_url": "http://127.0.0.1:1",
            "databases.questdb.partition_by": "WEEK",
            "databases.questdb.table": "other",
            "pipeline.lane": "ilp",
            "pipeline.window_rows": "2000",
            "pipeline.window_bytes": "70000",
            "embedded.heap_mib": "300",
            "log.level": "debug",
            "http.listen": "[::1]:80",
            "watch.poll": "true",
            "watch.config": "true",
            "retention.files": "compress",
            "retention.zips": "prune",
            "watch.tiers": "TIER1,TIER2",
            "watch.intervals": "[60, 1440]",
            "schedules": '[{"name": "a", "cron": "0 5 * * *", "source": "massive", "all": true}]',
        }
        text = special.get(key, "folder" if key.startswith("paths.") else "7")
        variable = "FEEFIFOD__" + key.upper().replace(".", "__")
        loaded = load(None, {variable: text}, tmp_path)
        changed = loaded.settings.model_dump(mode="python")
        default = load(None, {}, tmp_path).settings.model_dump(mode="python")
        assert changed != default
        assert loaded.origins == {key: variable}

    def test_a_new_database_has_a_lower_case_name(self, tmp_path: Path) -> None:
        loaded = load(None, {"FEEFIFOD__DATABASES__BACKUP__TABLE": "other"}, tmp_path)
        assert pick_database(loaded.settings, "backup").table == "other"

    def test_lists_take_json_and_commas_and_nothing(self, tmp_path: Path) -> None:
        def intervals(text: str) -> tuple[int, ...]:
            return load(None, {"FEEFIFOD__WATCH__INTERVALS": text}, tmp_path).settings.watch.intervals

        assert intervals("60, 1440") == intervals("[60, 1440]") == (60, 1440)
        assert intervals("") == intervals("[]") == ()

    def test_names_of_databases_keep_their_case(self, tmp_path: Path) -> None:
        loaded = read(tmp_path, "[databases.Backup]\n", FEEFIFOD__DATABASES__BACKUP__TABLE="other")
        assert {name: database.table for name, database in loaded.settings.databases.items()} == {
            "questdb": "assetprice",
            "Backup": "other",
        }

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            ("FEEFIFOD__PATH__DATA", "Did you mean 'paths'?"),
            ("FEEFIFOD__PATHS__DTA", "Did you mean 'paths.data'?"),
            ("FEEFIFOD__X", "Allowed at the top: paths"),
            ("FEEFIFOD__PATHS__DATA__MORE", "Allowed in [paths.data]: nothing"),
            ("FEEFIFOD__TIERS__TIER9", "Allowed in [tiers]: TIER1, TIER2"),
            ("feefifod__paths__dta", "Did you mean 'paths.data'?"),
            ("FEEFIFOD__MASSIVE_API_KEY", "API keys come from MASSIVE_API_KEY"),
        ],
    )
    def test_a_wrong_name_is_an_error(self, tmp_path: Path, variable: str, hint: str) -> None:
        message = fail(tmp_path, "", **{variable: SECRET})
        assert message.startswith(f"{variable}: unknown key")
        assert hint in message
        assert SECRET not in message

    def test_a_wrong_name_inside_json_is_an_error(self, tmp_path: Path) -> None:
        assert "unknown key 'paths.dta'" in fail(tmp_path, "", FEEFIFOD__PATHS='{"dta": "x"}')

    def test_a_wrong_value_names_the_variable(self, tmp_path: Path) -> None:
        message = fail(tmp_path, "[embedded]\nhttp_port = 1", FEEFIFOD__EMBEDDED__HTTP_PORT="70000")
        assert message == (
            "FEEFIFOD__EMBEDDED__HTTP_PORT: embedded.http_port must be less than or equal to 65535, not '70000'"
        )

    def test_broken_json(self, tmp_path: Path) -> None:
        assert "watch.intervals: Expecting" in fail(tmp_path, "", FEEFIFOD__WATCH__INTERVALS="[60")

    def test_other_variables_are_not_ours(self, tmp_path: Path) -> None:
        assert load(None, {"FEEFIFOD": "x", "FEEFIFO__X": "y", "PATH": "z"}, tmp_path).origins == {}

    def test_nothing_leaks_in_from_the_process(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FEEFIFOD__PIPELINE__WORKERS", "9")
        assert Settings().pipeline.workers == load(None, {}, tmp_path).settings.pipeline.workers == 2


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("[paths]\ndata = 'x'\nbroken\n", "config.toml: line 3, column 7"),
            ("[paths\n", "config.toml: line 1, column 7"),
            ("a = 1\na = 2\n", "config.toml: line 2, column"),
            ("[paths]\ndata = '''x\n", "config.toml: line"),
        ],
    )
    def test_broken_toml_names_line_and_column(self, tmp_path: Path, text: str, place: str) -> None:
        message = fail(tmp_path, text)
        assert place in message
        assert "no valid TOML" in message

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[path]\ndata = 'x'", ["unknown key 'path'", "Did you mean 'paths'?"]),
            ("[paths]\ndat = 'x'", ["unknown key 'paths.dat'", "'paths.data'", "data, ingested, rejected, state"]),
            ("[questdb]\nurl = 'x'", ["unknown key 'questdb'", "Did you mean 'databases.questdb.url'?"]),
            ("[databases.a]\nurll = 'x'", ["'databases.a.urll'", "Did you mean 'databases.a.url'?"]),
            (SCHEDULE + "al = true", ["'schedules.0.al'", "Did you mean 'schedules.0.all'?"]),
            ("[tiers]\nTIER5 = []", ["'tiers.TIER5'", "TIER1, TIER2, TIER3, TIER4"]),
        ],
    )
    def test_an_unknown_key_names_the_nearest(self, tmp_path: Path, text: str, words: list[str]) -> None:
        message = fail(tmp_path, text)
        assert message.startswith(f"{tmp_path}/config.toml")
        assert [word for word in words if word not in message] == []

    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            ("\n[embedded]\nhttp_port = 'x'", 3, ["embedded.http_port must be a valid integer", "not 'x'"]),
            ("[log]\nlevel = 'inf'", 2, ["'debug', 'info', 'warning' or 'error'", "Did you mean 'info'?"]),
            ("[watch]\ntiers = ['TIER1', 'TEIR2']", 2, ["watch.tiers.1", "Did you mean 'TIER2'?"]),
            ("[watch]\ntiers = []", 2, ["watch.tiers", "at least 1"]),
            ("[watch]\nintervals = [60, 61]", 2, ["61 is no interval", "1, 5, 15, 30, 60, 240, 720, 1440"]),
            ("[watch]\nsettle_seconds = nan", 2, ["watch.settle_seconds"]),
            ("[databases.questdb]\npartition_by = 'day'", 2, ["Did you mean 'DAY'?"]),
            ("[databases.b]\ntable = 'a-b'", 2, ["databases.b.table"]),
            ("[http]\nlisten = 'localhost'", 2, ["http.listen must be address:port"]),
            ("[paths]\ndata = 5", 2, ["paths.data"]),
            ("paths = 5", 1, ["paths must be a table"]),
            ("[watch]\nintervals = 60", 2, ["watch.intervals must be a list"]),
            ("[watch]\npoll = 'maybe'", 2, ["watch.poll must be true or false, not 'maybe'"]),
            ("[tiers]\nTIER1 = ['BTC']\nTIER2 = ['BTC']", 1, ["BTC is in TIER1 and in TIER2"]),
            ("[tiers]\nTIER1 = ['btc']", 2, ["tiers.TIER1.0"]),
        ],
    )
    def test_a_wrong_value_names_key_line_and_what_is_allowed(
        self, tmp_path: Path, text: str, line: int, words: list[str]
    ) -> None:
        message = fail(tmp_path, text)
        assert message.startswith(f"{tmp_path}/config.toml:{line}: ")
        assert [word for word in words if word not in message] == []

    def test_several_wrong_values_are_all_named(self, tmp_path: Path) -> None:
        message = fail(tmp_path, "[embedded]\nhttp_port = -1\nhealth_port = -1\n[watch]\npoll = 5")
        assert "embedded.http_port must be" in message
        assert "(also wrong: embedded.health_port, watch.poll)" in message

    @pytest.mark.parametrize("folder", ["ingested", "rejected", "state"])
    def test_output_inside_the_watched_folder_is_refused(self, tmp_path: Path, folder: str) -> None:
        message = fail(tmp_path, f'[paths]\n{folder} = "data/below"')
        assert message.startswith(f"{tmp_path}/config.toml:2: paths.{folder} lies inside paths.data")

    @pytest.mark.parametrize(
        ("folder", "place", "words"),
        [
            ("data", ".feefifod/scratch/zips/x/data", "makes and removes its own files"),
            ("ingested", ".feefifod/questdb", "makes and removes its own files"),
            ("data", "ingested/ohlcv", "where finished files go"),
            ("rejected", "ingested/zips/below", "where finished files go"),
            ("data", "rejected", "paths.rejected lies inside paths.data"),
            ("data", "link", "paths.ingested lies inside paths.data"),
        ],
    )
    def test_folders_that_would_feed_each_other_are_refused(
        self, tmp_path: Path, folder: str, place: str, words: str
    ) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        assert words in fail(tmp_path, f'[paths]\n{folder} = "{place}"')

    @pytest.mark.parametrize("place", [".feefifod/drop", "ingested/drop", "rejected/drop", "database", "data.old"])
    def test_folders_beside_each_other_are_not(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "config.toml").write_text(f'[paths]\ndata = "{place}"')
        assert load(None, {}, tmp_path).settings.paths.data == tmp_path / place

    def test_watching_everything_is_refused(self, tmp_path: Path) -> None:
        assert "lies inside paths.data" in fail(tmp_path, '[paths]\ndata = ""')


class TestUrls:
    @pytest.mark.parametrize("url", ["embedded", "http://127.0.0.1:9000", "https://q.example/", "http://[::1]:9000"])
    def test_good_urls_of_questdb(self, url: str) -> None:
        assert QuestDBSettings(url=url).url == url

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "Embedded",
            "q:9000",
            "tcp://q:9009",
            "http://",
            "http://q:x",
            "http://q:70000",
            "http://q/exec",
            "http://q?a=b",
        ],
    )
    def test_bad_urls_of_questdb(self, tmp_path: Path, url: str) -> None:
        assert "databases.questdb.url must" in fail(tmp_path, f'[databases.questdb]\nurl = "{url}"')

    @pytest.mark.parametrize(
        "url", ["postgres://h/d", "h/d", "http://h/d", "postgresql:///d", "postgresql://h:x/d", ""]
    )
    def test_bad_urls_of_postgresql(self, tmp_path: Path, url: str) -> None:
        message = fail(tmp_path, f'[postgres]\nurl = "{url}"')
        assert 'postgres.url must be "embedded" or postgresql://user@host/database' in message

    @pytest.mark.parametrize("url", ["https://u:p@h", "https://h?apiKey=x", "ftp://h", "h"])
    def test_bad_urls_of_sources(self, tmp_path: Path, url: str) -> None:
        assert "sources.massive.base_url must" in fail(tmp_path, f'[sources.massive]\nbase_url = "{url}"')


class TestSections:
    def test_the_database_questdb_is_always_there(self, tmp_path: Path) -> None:
        settings = read(tmp_path, '[databases.prod]\nurl = "http://q:1"').settings
        assert pick_database(settings).url == "embedded"
        assert pick_database(settings, "prod").url == "http://q:1"
        with pytest.raises(ConfigError, match=r"no database 'prd'. Known: questdb, prod"):
            pick_database(settings, "prd")

    def test_a_source_keeps_the_defaults_of_what_is_left_out(self, tmp_path: Path) -> None:
        sources = read(tmp_path, "[sources.finnhub]\ncalls_per_minute = 10").settings.sources
        assert (sources.finnhub.calls_per_minute, sources.finnhub.history_days) == (10, 365)
        assert sources.finnhub.base_url == "https://finnhub.io/api/v1"
        assert sources.massive.base_url == "https://api.massive.com"

    def test_what_only_finnhub_has_is_an_error_elsewhere(self, tmp_path: Path) -> None:
        message = fail(tmp_path, '[sources.massive]\ncrypto_exchange = "COINBASE"')
        assert "unknown key 'sources.massive.crypto_exchange'" in message
        assert "Did you mean 'sources.finnhub.crypto_exchange'?" in message
        assert "Allowed in [sources.massive]: base_url, calls_per_minute, history_days" in message

    def test_tiers_override(self, tmp_path: Path) -> None:
        assert read(tmp_path, '[tiers]\nTIER2 = ["1INCH", "ETH2.S"]').settings.tiers == {
            Tier.TIER2: ("1INCH", "ETH2.S")
        }

    def test_settings_are_frozen(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load(None, {}, tmp_path).settings.watch.poll = True  # type: ignore[misc]  # the very thing tested


class TestSchedules:
    def test_a_good_one(self, tmp_path: Path) -> None:
        (schedule,) = read(
            tmp_path, SCHEDULE + 'all = true\ngrouped = true\ntimezone = "America/New_York"'
        ).settings.schedules
        assert (schedule.grouped, schedule.days) == (True, 7)

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("", "needs either all = true or a ticker"),
            ('all = true\nticker = "BTC"', "needs either all = true or a ticker"),
            ('ticker = "BTC"\ngrouped = true', "grouped = true needs"),
            ('all = true\ntimezone = "Mars/Olympus"', "is no IANA time zone"),
            ('all = true\ntimezone = "../etc/passwd"', "is no IANA time zone"),
            ("all = true\ndays = 0", "greater than or equal to 1"),
        ],
    )
    def test_bad_ones(self, tmp_path: Path, more: str, words: str) -> None:
        message = fail(tmp_path, SCHEDULE + more)
        assert words in message
        assert message.startswith(f"{tmp_path}/config.toml:")

    @pytest.mark.parametrize("cron", ["", "x", "61 * * * *", "* * * *", "0 0 5 * * *", "@daily", "0 0 30 2 *"])
    def test_bad_crons(self, tmp_path: Path, cron: str) -> None:
        message = fail(tmp_path, SCHEDULE.replace("0 5 * * *", cron) + "all = true")
        assert message.startswith(f"{tmp_path}/config.toml:3: schedules.0.cron ")

    def test_grouped_is_massives(self, tmp_path: Path) -> None:
        assert "grouped = true needs" in fail(
            tmp_path, SCHEDULE.replace("massive", "finnhub") + "all = true\ngrouped = true"
        )

    def test_names_are_unique(self, tmp_path: Path) -> None:
        assert "'a' is given twice" in fail(tmp_path, (SCHEDULE + "all = true\n") * 2)

    def test_a_missing_key(self, tmp_path: Path) -> None:
        assert "schedules.0.source is missing" in fail(tmp_path, SCHEDULE.replace('source = "massive"\n', "all = true"))


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f'massive_api_key = "{SECRET}"',
            f'[sources.massive]\napi_key = "{SECRET}"',
            f'[sources.finnhub]\ntoken = "{SECRET}"',
            '[sources.finnhub]\ncrypto_exchange = "c0ffee1234567890abcd"',
            f'[sources.finnhub]\ncrypto_exchange = "{SECRET}-known"',
            f'[databases.questdb]\npassword = "{SECRET}-known"',
        ],
    )
    def test_an_api_key_in_the_file_is_refused_and_not_repeated(self, tmp_path: Path, text: str) -> None:
        message = fail(tmp_path, text, FINNHUB_API_KEY=f"{SECRET}-known")
        assert "MASSIVE_API_KEY and FINNHUB_API_KEY" in message
        assert SECRET not in message
        assert "c0ffee" not in message

    @pytest.mark.parametrize(
        "text",
        [
            f'[postgres]\nurl = "postgres://me:{SECRET}@h/d"',
            f'[postgres]\nurl = ["{SECRET}"]',
            f'[databases.questdb]\npassword = ["{SECRET}"]',
        ],
    )
    def test_wrong_secret_values_are_not_repeated(self, tmp_path: Path, text: str) -> None:
        assert SECRET not in fail(tmp_path, text)

    @pytest.mark.parametrize("url", [f"http://me:{SECRET}@h:1", f"http://h:1?password={SECRET}"])
    def test_passwords_in_urls_are_not_repeated(self, tmp_path: Path, url: str) -> None:
        assert SECRET not in fail(tmp_path, f'[databases.questdb]\nurl = "{url}"')
        assert SECRET not in fail(tmp_path, f'[sources.massive]\nbase_url = "{url}"')

    def test_secrets_lists_passwords_as_typed_and_decoded(self, tmp_path: Path) -> None:
        loaded = read(
            tmp_path, '[postgres]\nurl = "postgresql://u:p%40ss@h/d"\n[databases.questdb]\npassword = "swordfish"'
        )
        assert set(loaded.settings.secrets()) == {"p%40ss", "p@ss", "swordfish"}
        assert "swordfish" not in repr(loaded)
        assert "p%40ss" not in repr(loaded)


@settings(deadline=None)
@given(
    values=st.recursive(
        st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from([*Settings.model_fields, "url", "data", "questdb", "name"]), inner, max_size=3
            ),
        ),
        max_leaves=8,
    ).filter(lambda value: isinstance(value, dict))
)
def test_whatever_stands_there_is_read_or_refused_as_a_config_error(values: dict[str, object]) -> None:
    """No input makes anything but settings or our own error: here through the environment's JSON."""
    environ = {f"FEEFIFOD__{name}": json.dumps(value) for name, value in values.items()}
    message = ""
    try:
        load(None, environ, Path("/nowhere"))
    except ConfigError as error:
        message = str(error)
    assert "\n" not in message
