"""What a shell and a terminal see: completion, versions, colours and widths."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

import feefifod
from feefifod.cli.main import cli
from feefifod.servers import Endpoints
from tests.support.project import FEEFIFOD, Project, candle

SCHEDULE = '[[schedules]]\nname = "nightly"\ncron = "0 5 * * *"\nsource = "massive"\nall = true\n'
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7])m")


def complete(shell: str, words: str, number: str) -> str:
    environment = os.environ | {"_FEEFIFOD_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": number}
    return subprocess.run([FEEFIFOD], env=environment, capture_output=True, text=True, timeout=60, check=False).stdout


def test_completion_of_commands_and_options_in_every_shell() -> None:
    assert "plain,status\n" in complete("bash", "feefifod st", "1")
    assert "plain,--offline\n" in complete("bash", "feefifod explain --o", "2")
    assert "plain\nstatus\nShow what is waiting" in complete("zsh", "feefifod st", "1")
    assert "plain,status\tShow what is waiting" in complete("fish", "feefifod st", "st")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_documented_line_works_in_bash() -> None:
    script = (
        'eval "$(_FEEFIFOD_COMPLETE=bash_source feefifod)"\n'
        "COMP_WORDS=(feefifod ingest); COMP_CWORD=1; _feefifod_completion feefifod\n"
        'echo "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{FEEFIFOD.parent}{os.pathsep}{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-ec", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.returncode == 0
    assert done.stdout.split() == ["ingest-sequential"]


def test_versions_of_servers_that_answer(project: Project) -> None:
    lines = project.succeed("--version").out.splitlines()

    assert lines[0] == f"feefifod {feefifod.__version__}"
    assert lines[1] == "QuestDB 9.3.4"
    assert re.fullmatch(r"PostgreSQL 18\.\d+.*", lines[2])


def test_versions_without_servers_and_with_a_wrong_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, "assetprice", capsys)
    only_ours = f"feefifod {feefifod.__version__}\n"
    for text in (
        "embedded.http_port = 0\n",
        'databases.questdb.url = "http://127.0.0.1:1"\npostgres.url = "postgresql://me:secret-word@127.0.0.1:1/db"\n',
        "nonsense = 1\n",
    ):
        (tmp_path / "config.toml").write_text(text)
        started = time.monotonic()
        outcome = project.succeed("--version")
        assert (outcome.out, outcome.err) == (only_ours, "")
        assert time.monotonic() - started < 20
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_overflows(project: Project, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that begin with an arrow are left to the terminal to wrap, so that a command in them can be copied."""
    with (project.folder / "config.toml").open("a") as file:
        file.write(SCHEDULE)
    project.drop("XBTUSD_60.csv", candle(1_499_997_600), "bad row")
    project.drop("ADAUSD_60.csv", "nothing good in it")
    project.run("run-once")
    project.drop("ETHUSD_60.csv", candle(1_499_997_600))
    monkeypatch.setenv("COLUMNS", str(columns))

    for command in ("status", "doctor"):
        lines = project.run(command).out.splitlines()
        assert len(lines) > 5
        wide = [line for line in lines if cell_len(line.rstrip()) > columns and not line.lstrip().startswith("→")]
        assert wide == []


@pytest.mark.parametrize("name", ["", *cli.list_commands(click.Context(cli))])
def test_help_fits_into_80_columns_but_for_examples(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = Project(tmp_path, "", capsys).succeed(*name.split(), "--help").out

    text, _, rest = out.partition("Example:")
    examples, _, options = rest.partition("Options:")
    assert [line for line in (text + options).splitlines() if len(line) > 80] == []
    assert [line for line in examples.splitlines() if len(line) > 120] == []


def run_in_terminal(folder: Path, columns: int, *arguments: str, **environ: str) -> str:
    """Run a command in a terminal of its own and return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", **environ}
    process = subprocess.Popen(
        [FEEFIFOD, *arguments], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # Linux says so when the other end is closed.
    finally:
        os.close(ours)
        process.wait(60)
    return shown.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="terminals end differently elsewhere")
def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("embedded = { http_port = 0, pg_wire_port = 0, health_port = 0 }\n")

    coloured = run_in_terminal(tmp_path, 80, "doctor")
    plain = run_in_terminal(tmp_path, 80, "doctor", NO_COLOR="1")
    piped = subprocess.run([FEEFIFOD, "doctor"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)

    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert "\x1b" not in piped.stdout
    bare = re.sub(r"\x1b\[[0-9;]*m", "", plain).replace("\r", "")
    assert [line for line in bare.splitlines() if cell_len(line.rstrip()) > 80 and "→" not in line] == []


def test_a_pipe_is_not_cut(project: Project, pair: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")

    lines = project.succeed("status").out.splitlines()

    assert any(line.rstrip().endswith("empty 0") for line in lines if line.startswith("files"))


IN_A_SESSION = """
import os, sys
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(terminal, number)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Makes a terminal the controlling one, as a window does for its shell."""


@pytest.mark.skipif(sys.platform != "linux", reason="terminals end differently elsewhere")
def test_the_daemon_speaks_to_people_and_ends_with_their_terminal(project: Project) -> None:
    with (project.folder / "config.toml").open("a") as file:
        file.write('[http]\nlisten = ""\n')
    project.drop("XBTUSD_60.csv", candle(1_499_997_600))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_SESSION, os.ttyname(theirs), str(FEEFIFOD), "run"], cwd=project.folder
    )
    shown = b""
    while b"ingested/ohlcv" not in shown and process.poll() is None:
        if select.select([ours], [], [], 1.0)[0]:
            shown += os.read(ours, 65536)

    os.close(theirs)
    os.close(ours)

    assert process.wait(60) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r", "").splitlines()
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d watching .*/data", line) for line in lines), lines
    assert any(
        re.search(r"\d\d:\d\d:\d\d XBTUSD_60.csv: 1 candle of BTC/USD, 60 min, in \d+\.\d s → .*ohlcv", line)
        for line in lines
    ), lines
