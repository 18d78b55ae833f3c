"""What people see: a console that knows terminals, questions, and JSON documents."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from feefifod.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN = {"→": "->", "≤": "<=", "≥": ">=", "…": "...", "µ": "u"}
"""What stands for our own signs where a terminal's encoding lacks them."""

WIDTH_WITHOUT_TERMINAL = 200
"""Columns of a pipe or a file: wide, because nothing there needs cutting."""


def replace_unprintable() -> None:
    """Let stdout and stderr write something else for a character that their encoding lacks, instead of failing."""
    codecs.register_error("feefifod", _stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="feefifod")


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def make_console(*, stderr: bool = False) -> Console:
    """Make a rich console for stdout, or for stderr.

    It follows the terminal's width, COLUMNS and NO_COLOR. Markup is off, because file names are printed with it:
    style with `style=` or `rich.text.Text`, and pass foreign text through `feefifod.log.escape_controls`.
    """
    from rich.console import Console  # noqa: PLC0415 - commands that print JSON need not wait for it

    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH_WITHOUT_TERMINAL
    return console


@contextlib.contextmanager
def interrupt_at_once() -> Iterator[None]:
    """Let Ctrl-C end a question: the event loop's own handler would only take note, and wait for the answer."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def confirm(question: str, yes: bool) -> None:
    """Ask on stderr, and go on only after "yes"; a "no" ends the command well, because it did what was asked.

    Raises:
        ConfigError: there is no terminal to ask on, and no `--yes`.
    """
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):  # Services start with stdin closed, which leaves None here.
        raise ConfigError(f"there is no terminal to ask on: {question}", remedy="Add --yes to go on without a question")
    if not click.confirm(question, err=True):
        click.echo("Nothing was done.", err=True)
        raise click.exceptions.Exit(0)


def print_json(document: object) -> None:
    """Print one JSON document on stdout; ASCII, so that any file name survives any terminal and pipe."""
    print(json.dumps(document, indent=2, default=str))
