"""`feefifod config show|set|init|check`."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest

from feefifod.cli.main import run_command_line
from feefifod.config import loading as loading_module
from feefifod.config import write_default


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading_module, "SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    for name in [name for name in os.environ if name.startswith("FEEFIFOD")]:
        monkeypatch.delenv(name)


def test_show_says_where_each_value_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("[watch]\nsettle_seconds = 3\n")
    monkeypatch.setenv("FEEFIFOD__WATCH__INTERVALS", "60")
    assert run_command_line(["config", "show"]) == 0
    lines = {line.split("  #")[0].strip(): line.split("# ")[-1] for line in capsys.readouterr().out.splitlines()}
    assert lines["watch.settle_seconds = 3.0"] == f"{tmp_path}/config.toml:2"
    assert lines["watch.intervals = [60]"] == "FEEFIFOD__WATCH__INTERVALS"
    assert lines["watch.poll = false"] == "default"
    assert lines[f'paths.data = "{tmp_path}/data"'] == "default"


def test_what_show_prints_is_valid_toml(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["config", "show"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["embedded"]["http_port"] == 9000


def test_show_masks_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text(
        '[postgres]\nurl = "postgresql://me:hunter2@h/d?password=hunter2"\n'
        '[databases.questdb]\nuser = "me"\npassword = "hunter2://x"\n'
    )
    for command in (["config", "show"], ["config", "show", "--json"]):
        assert run_command_line(command) == 0
        out = capsys.readouterr().out
        assert "hunter2" not in out
        assert "postgresql://me:[redacted]@h/d" in out
        assert "********" in out


def test_show_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = '[[schedules]]\nname = "a"\ncron = "0 5 * * *"\nsource = "massive"\nall = true\ncategory = "STOCK"\n'
    (tmp_path / "config.toml").write_text(schedule)
    assert run_command_line(["config", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["file"] == str(tmp_path / "config.toml")
    assert shown["settings"]["watch"]["tiers"] == ["ALL"]
    assert shown["settings"]["schedules"][0]["category"] == "STOCK"
    assert shown["origins"]["watch.tiers"] == "default"
    assert shown["origins"]["schedules"].startswith(str(tmp_path / "config.toml"))


def test_init_writes_the_default_and_nothing_over_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["config", "init"]) == 0
    assert (tmp_path / "config.toml").read_text() == write_default()
    (tmp_path / "config.toml").write_text("mine")
    capsys.readouterr()
    assert run_command_line(["config", "init"]) == 1
    assert "exists already. --force" in capsys.readouterr().err
    assert (tmp_path / "config.toml").read_text() == "mine"
    assert run_command_line(["config", "init", "--force"]) == 0
    assert (tmp_path / "config.toml").read_text() == write_default()


def test_init_writes_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEFIFOD_CONFIG", "b.toml")
    assert run_command_line(["config", "init", "--config", "a.toml"]) == 0
    assert run_command_line(["config", "init"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.toml", "b.toml"]


def test_set_then_show(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command_line(["config", "set", "watch.poll", "true"]) == 2
    assert "config init" in capsys.readouterr().err
    run_command_line(["config", "init"])
    monkeypatch.setenv("FEEFIFOD__WATCH__SETTLE_SECONDS", "9")
    capsys.readouterr()
    assert run_command_line(["config", "set", "watch.settle_seconds", "2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "FEEFIFOD__WATCH__SETTLE_SECONDS overrides it" in captured.err
    assert "settle_seconds = 2.0  # unchanged" in (tmp_path / "config.toml").read_text()


def test_set_says_when_comments_are_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text("# mine\n[watch]\nintervals = [\n  60,\n]\n")
    assert run_command_line(["config", "set", "watch.intervals", "1"]) == 0
    assert "without its comments" in capsys.readouterr().err
    assert run_command_line(["config", "set", "--help"]) == 0
    assert "WITHOUT its comments" in " ".join(capsys.readouterr().out.split())


def test_set_of_nonsense_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command_line(["config", "init"])
    capsys.readouterr()
    assert run_command_line(["config", "set", "watch.pol", "true"]) == 2
    assert "Did you mean 'watch.poll'?" in capsys.readouterr().err
    assert (tmp_path / "config.toml").read_text() == write_default()


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["config", "check"]) == 0
    (tmp_path / "config.toml").write_text("[watch\n")
    capsys.readouterr()
    assert run_command_line(["config", "check"]) == 2
    assert "config.toml: line 1, column 7" in capsys.readouterr().err
