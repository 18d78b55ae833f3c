"""Questions, tables and documents, with and without a terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import click
import pytest
from rich.table import Table

from feefifod.cli.console import WIDTH_WITHOUT_TERMINAL, confirm, make_console, print_json
from feefifod.errors import ConfigError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(text))


class TestConfirm:
    def test_yes_is_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        confirm("Really?", True)

    def test_without_a_terminal_it_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        with pytest.raises(ConfigError, match=r"no terminal.*Really\?.*--yes"):
            confirm("Really?", False)

    def test_closed_stdin_is_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", None)
        with pytest.raises(ConfigError, match="--yes"):
            confirm("Really?", False)

    def test_yes_goes_on(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        answer(monkeypatch, "y\n")
        confirm("Really?", False)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Really? [y/N]" in captured.err

    @pytest.mark.parametrize("text", ["n\n", "\n", "NO\n"])
    def test_no_ends_well(self, monkeypatch: pytest.MonkeyPatch, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        answer(monkeypatch, text)
        with pytest.raises(click.exceptions.Exit) as caught:
            confirm("Really?", False)
        assert caught.value.exit_code == 0
        assert "Nothing was done" in capsys.readouterr().err


class TestConsole:
    def table(self, cell: str) -> Table:
        table = Table("file")
        table.add_row(cell)
        return table

    def test_wide_and_plain_without_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name, raising=False)
        console = make_console()
        console.print(self.table("x" * 150), style="red")
        out = capsys.readouterr().out
        assert console.width == WIDTH_WITHOUT_TERMINAL
        assert "x" * 150 in out
        assert "\x1b" not in out

    def test_columns_is_followed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "60")
        assert make_console().width == 60

    def test_names_of_files_are_no_markup(self, capsys: pytest.CaptureFixture[str]) -> None:
        name = "[red]x[/red] :smile: [link=a]"
        console = make_console()
        console.print(name)
        console.print(self.table(name))
        assert capsys.readouterr().out.count(name) == 2

    def test_no_color(self, monkeypatch: pytest.MonkeyPatch) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        make_console(stderr=True).print("x", style="red")
        assert "31m" not in terminal.getvalue()
        monkeypatch.delenv("NO_COLOR")
        make_console(stderr=True).print("x", style="red")
        assert "31m" in terminal.getvalue()


def test_json_is_one_document_for_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"path": "a\udcff\n\x1bä", "rows": 1, "none": None}
    print_json(document)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == document


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "ä → b ≤ 語\n"),
        ("iso-8859-1", "ä -> b <= ?\n"),
        ("ascii", "? -> b <= ?\n"),
        ("cp1252", "ä -> b <= ?\n"),
    ],
)
def test_characters_that_a_terminal_lacks_are_replaced(encoding: str, shown: str) -> None:
    code = (
        "import sys; from feefifod.cli.console import make_console, replace_unprintable; replace_unprintable();"
        "print('ä → b ≤ 語'); print('ä → b ≤ 語', file=sys.stderr); make_console().print('ä → b ≤ 語')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)

    assert result.stdout.decode(encoding) == 2 * shown
    assert result.stderr.decode(encoding) == shown
