"""Finding commands, `--config` in both places, and every way to end as an exit code."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import structlog

import feefifod
from feefifod import log
from feefifod.cli import main as main_module
from feefifod.cli.main import COMMANDS, cli, run_command_line
from feefifod.cli.options import find_config, json_option, yes_option
from feefifod.errors import BadInput, ConfigError, FeefifodError, Refused, Unavailable
from feefifod.log import redaction, setup

FEEFIFOD = Path(sys.executable).with_name("feefifod")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """Commands of this test: they live in this module, below the name of a command's module."""
    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "feefifod.cli.fake_command", module)
    monkeypatch.setattr(main_module.importlib.util, "find_spec", lambda name: name.endswith("fake_command") or None)
    commands = {
        "ingest-files": ("fake_command:ingest", "Ingest."),
        "many": ("fake_command:many", "Group."),
        "absent": ("absent_command:absent", "Has no module."),
    }
    monkeypatch.setattr(main_module, "COMMANDS", commands)
    return commands


error_to_raise: BaseException | None = None


@click.command()
@json_option
@yes_option
@click.option("--code", type=int)
@click.pass_context
def ingest(ctx: click.Context, as_json: bool, yes: bool, code: int | None) -> int | None:
    """Ingest."""
    if error_to_raise is not None:
        raise error_to_raise
    click.echo(f"{find_config(ctx)} {as_json} {yes}")
    return code


@click.group()
def many() -> None:
    """Hold commands."""


@many.command()
@click.pass_context
def one(ctx: click.Context) -> None:
    """Do one."""
    click.echo(find_config(ctx))


class TestFinding:
    @pytest.mark.parametrize("name", ["ingest-files", "ingest_files"])
    def test_hyphenated_and_underscored(self, table: object, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command_line([name]) == 0
        assert capsys.readouterr().out == "None False False\n"

    @pytest.mark.parametrize(
        ("arguments", "path"),
        [
            (["--config", "a", "ingest-files", "--json", "-y"], "a True True"),
            (["ingest-files", "--yes", "--config", "a", "--json"], "a True True"),
            (["--config", "a", "ingest-files", "--config", "b", "--json", "--yes"], "b True True"),
            (["--config", "a", "many", "one"], "a"),
            (["many", "--config", "a", "one"], "a"),
            (["many", "one", "--config", "a"], "a"),
        ],
    )
    def test_config_before_and_after(
        self, table: object, arguments: list[str], path: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command_line(arguments) == 0
        assert capsys.readouterr().out == f"{path}\n"

    def test_help_lists_what_exists(self, table: object, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command_line(["--help"]) == 0
        out = capsys.readouterr().out
        assert "ingest-files  Ingest." in out
        assert "absent" not in out

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("ingst-files", "Did you mean 'ingest-files'?"),
            ("ingest_file", "Did you mean 'ingest-files'?"),
            ("MANY", "Did you mean 'many'?"),
            ("absent", "See 'feefifod --help'"),
            ("xyz", "See 'feefifod --help'"),
        ],
    )
    def test_a_typo(self, table: object, name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command_line([name]) == 2
        assert capsys.readouterr().err == f"feefifod: there is no command {name!r}. {hint}\n"

    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command_line(["--version"]) == 0
        assert capsys.readouterr().out == f"feefifod {feefifod.__version__}\n"


class TestExitCodes:
    @pytest.fixture(autouse=True)
    def use_the_fake_table(self, table: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def end(self, error: BaseException) -> int:
        self.monkeypatch.setattr(sys.modules[__name__], "error_to_raise", error)
        return run_command_line(["ingest-files"])

    @pytest.mark.parametrize("code", [0, 1, 2])
    def test_a_command_may_return_its_code(self, code: int) -> None:
        assert run_command_line(["ingest-files", "--code", str(code)]) == code

    @pytest.mark.parametrize(
        ("kind", "code"), [(ConfigError, 2), (Refused, 1), (Unavailable, 1), (BadInput, 1), (FeefifodError, 1)]
    )
    def test_our_errors_are_one_line(
        self, kind: type[FeefifodError], code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.end(kind("it is wrong", where="a\nb.csv:3", remedy="Mend it")) == code
        assert capsys.readouterr().err == "feefifod: a\\nb.csv:3: it is wrong. Mend it\n"

    def test_an_answer_of_several_lines_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.end(Refused("the server says:\n  no\r\n", remedy="Ask\nagain")) == 1
        assert capsys.readouterr().err == "feefifod: the server says: no. Ask again\n"

    def test_a_question_has_no_full_stop(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.end(ConfigError("there is no terminal to ask on: Ingest 1 file?", remedy="Add --yes")) == 2
        assert capsys.readouterr().err == "feefifod: there is no terminal to ask on: Ingest 1 file? Add --yes\n"

    def test_errors_of_a_task_group_are_unpacked(self, capsys: pytest.CaptureFixture[str]) -> None:
        inner = ExceptionGroup("tasks", [ConfigError("two")])
        assert self.end(ExceptionGroup("tasks", [Refused("one"), inner])) == 2
        assert capsys.readouterr().err == "feefifod: one\nfeefifod: two\n"

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), click.Abort(), BaseExceptionGroup("t", [KeyboardInterrupt(), ValueError()])]
    )
    def test_an_interrupt_is_quiet(self, error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.end(error) == 130
        assert capsys.readouterr().err.strip() == ""

    @pytest.mark.parametrize(("code", "expected"), [(3, 3), (None, 0), ("text", 1)])
    def test_system_exit_passes(self, code: str | int | None, expected: int) -> None:
        assert self.end(SystemExit(code)) == expected

    def test_the_unexpected_shows_its_traceback_without_secrets(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redaction, "_known", {"hunter2"})
        monkeypatch.setattr(setup, "_handler", None)  # Another test of this process may have set logging up.
        assert self.end(ValueError("hunter2")) == 1
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert "ValueError: [redacted]" in err
        assert "hunter2" not in err

    def test_the_unexpected_is_an_event_where_logs_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = io.StringIO()
        root_level = logging.getLogger().level
        log.configure("info", stream=stream)
        try:
            assert self.end(ValueError("surprise")) == 1
        finally:
            logging.getLogger().removeHandler(setup._handler or logging.NullHandler())
            setup._handler = None
            logging.getLogger().setLevel(root_level)
            structlog.reset_defaults()
        event = json.loads(stream.getvalue())
        assert (event["event"], event["level"]) == ("unexpected error", "critical")
        assert "ValueError: surprise" in event["exception"]

    def test_no_secret_in_an_error_line(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redaction, "_known", {"hunter2"})
        assert self.end(Unavailable("no answer with hunter2", where="postgresql://u:other@h/d")) == 1
        assert capsys.readouterr().err == "feefifod: postgresql://u:[redacted]@h/d: no answer with [redacted]\n"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["ingest-files", "--jsn"], "feefifod: ingest-files: No such option '--jsn'"),
            (["ingest-files", "--code", "x"], "feefifod: ingest-files: Invalid value for '--code'"),
            (["ingest-files", "more"], "feefifod: ingest-files: Got unexpected extra argument"),
            (["many", "two"], "feefifod: many: No such command 'two'"),
            (["--cnfig", "x"], "feefifod: No such option"),
            (["--config"], "feefifod: Option '--config' requires an argument"),
        ],
    )
    def test_wrong_usage(self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command_line(arguments) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(words)
        assert captured.err.count("\n") == 1
        assert captured.err.rstrip().endswith("--help'")
        assert captured.out == ""


def existing_commands() -> list[str]:
    return cli.list_commands(click.Context(cli))


@pytest.mark.parametrize("name", existing_commands())
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"feefifod {name}" in out.partition("Example")[2]
    assert "--config PATH" in out


def test_the_table_names_every_command_once() -> None:
    assert all(place.split(":")[0].endswith(("_command", "_commands")) for place, _ in COMMANDS.values())
    assert all("_" not in name for name in COMMANDS)


class TestProcess:
    """The real executable, in few runs."""

    def run(self, *arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FEEFIFOD")}
        return subprocess.run(
            [FEEFIFOD, *arguments],
            cwd=cwd,
            env=environment | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_good_wrong_and_failed(self, tmp_path: Path) -> None:
        first = self.run("config", "init", cwd=tmp_path)
        assert (first.returncode, first.stdout) == (0, "")
        assert self.run("config", "init", cwd=tmp_path).returncode == 1
        wrong = self.run("config", "check", cwd=tmp_path, FEEFIFOD__WATCH__POL="1")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith(
            "feefifod: FEEFIFOD__WATCH__POL: unknown key 'watch.pol'. Did you mean 'watch.poll'?"
        )
        shown = self.run("config", "show", "--json", cwd=tmp_path)
        assert json.loads(shown.stdout)["file"] == str(tmp_path / "config.toml")

    def test_a_closed_pipe_is_quiet(self, tmp_path: Path) -> None:
        for command in (["config", "show"], ["--help"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [FEEFIFOD, *command], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
            )
            os.close(writer)
            assert done.stderr == b""
            assert done.returncode == 1

    def test_an_interrupt_has_no_traceback(self, tmp_path: Path) -> None:
        program = (
            "import sys, time, click\n"
            "from feefifod.cli import main\n"
            "@main.cli.command()\n"
            "def wait():\n"
            "    print('waiting', flush=True)\n"
            "    time.sleep(60)\n"
            "main.CommandTable.list_commands = lambda self, ctx: ['wait']\n"
            "main.CommandTable.get_command = lambda self, ctx, name: wait\n"
            "sys.argv[1:] = ['wait']\n"
            "main.main()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"waiting\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert b"Traceback" not in err

    def test_light_commands_import_nothing_heavy(self, tmp_path: Path) -> None:
        """The clock of a busy machine proves nothing; what is imported does."""
        heavy = [
            "numpy",
            "pandas",
            "pyarrow",
            "exchange_calendars",
            "structlog",
            "asyncio",
            "rich",
            "pydantic_settings",
        ]
        program = (
            "import sys\n"
            "from feefifod.cli.main import run_command_line\n"
            "assert run_command_line(sys.argv[1:]) == 0\n"
            f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules))\n"
        )
        for command in (["--help"], ["config", "show"], ["config", "--help"]):
            done = subprocess.run(
                [sys.executable, "-c", program, *command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.stderr.strip() == ""


@pytest.mark.parametrize("arguments", [[], ["servers"], ["config"], ["assets"]])
def test_without_a_command_the_help_is_shown_as_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The very first thing that a new user types."""
    assert run_command_line(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Usage: feefifod")
    assert "\\n" not in shown
    assert "\nCommands:\n" in shown


def test_no_output_at_all_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may be started with its outputs closed."""
    monkeypatch.setattr(sys, "stdout", None)
    assert run_command_line(["config", "check", "--help"]) in (0, 1)
