"""The references say what the program does: they are written from it, and examples anywhere are real commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from feefifod.cli.main import cli
from feefifod.cli.references import REFERENCES, list_entries
from feefifod.config.keys import leaf_keys

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", REFERENCES)
def test_it_is_what_the_program_would_write(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")

    assert written == REFERENCES[name](), "it is stale: run `make docs`, or python -m feefifod.cli.references docs"


def test_every_command_has_a_text_an_example_and_a_place_in_both_references() -> None:
    page, man = REFERENCES["commands.md"](), REFERENCES["feefifod.1"]()
    entries = list(list_entries())

    assert len(entries) > len(cli.list_commands(click.Context(cli)))
    for entry in entries:
        assert entry.text, entry
        assert f"feefifod {entry.name.split()[0]}" in entry.example, entry
        assert f"# {entry.name}\n" in page
        assert f".SS {entry.name}".replace("-", "\\-") in man
    assert "\b" not in page + man


def test_every_key_has_its_line() -> None:
    page = REFERENCES["configuration.md"]()

    for key in leaf_keys():
        name = key.rpartition(".")[2]
        assert re.search(rf"^(\| `{name}` \||\#\# \[+{name}\]|Keys:.* {name}\b)", page, re.MULTILINE), key


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_sound() -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-b", str(ROOT / "docs/feefifod.1")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)

    assert result.stderr == ""
    assert "Example:" in result.stdout


def documented_commands() -> Iterator[tuple[str, str]]:
    """List the lines with a command of ours in fenced blocks of all pages, with the page."""
    for page in PAGES:
        for block in re.findall(
            r"^```(?:sh|console)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"\s+(?:&&|\|)\s+", line):
                    if found := re.match(r"\s*(?:sudo )?(?:[\w./-]*/)?feefifod\s+(?P<rest>\S.*)", part):
                        yield page.name, found["rest"]


@pytest.mark.parametrize(("page", "line"), sorted(set(documented_commands())))
def test_a_documented_command_can_be_typed(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken apart as the shell and the program would, and not carried out."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.partition(" > ")[0], comments=True)
    for word in words:  # Files that a reader would have.
        if re.fullmatch(r"\w[\w./-]*\.(csv|zip)", word):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()

    command: click.Command | None = cli
    context = click.Context(cli, info_name="feefifod")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context)
    assert command is not None
    if isinstance(command, click.Group):
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
        assert set(words) <= known
    else:
        command.make_context(command.name, words, parent=context.parent)
