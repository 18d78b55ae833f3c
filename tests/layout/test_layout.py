"""The shape of the project: what no linter checks."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from feefifod.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
FIXED = {"feefifod", "config.toml", "data", "ingested", "systemd", "tests", "pyproject.toml"}
BESIDE = {"README.md", "CHANGELOG.md", "Makefile", "docs", "bench", ".ci", ".gitignore"}
HABITS = {
    "LICENSE",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ".editorconfig",
    ".pre-commit-config.yaml",
    ".github",
    ".devcontainer",
}
"""What newcomers and their tools look for in any project."""

LOCKS = {"requirements.lock", "requirements-build.lock", "requirements-dev.lock"}
MODULES = sorted((ROOT / "feefifod").rglob("*.py"))
LONGEST_MODULE_LINES = 350
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "services_manager", "base", "misc"}


def tracked() -> list[str]:
    """List the files that git tracks."""
    result = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip("not a git checkout")
    return result.stdout.splitlines()


def test_top_level_holds_what_was_agreed() -> None:
    """A new user finds the same few names, and nothing else."""
    top = {name.split("/", 1)[0] for name in tracked()}

    assert top == FIXED | BESIDE | HABITS | LOCKS


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_named_and_explained(module: Path) -> None:
    """One concern each: a module that grows beyond this has two."""
    text = module.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= LONGEST_MODULE_LINES
    assert module.stem not in VAGUE
    assert text.startswith('"""'), "a module says in its first line what it is for"


def test_every_dependency_is_explained() -> None:
    """A dependency earns its line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    explained = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    wanted = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["embedded"]
    names = [re.split(r"[<>=\[ ;]", dependency)[0] for dependency in wanted]

    missing = [name for name in names if not re.search(rf"^\| .*\b{re.escape(name)}\b", explained, re.MULTILINE)]
    assert missing == []


def test_locks_have_hashes_and_no_index() -> None:
    """A lock pins what is installed, and says nothing of where from."""
    for lock in LOCKS:
        lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
        pins = [line for line in lines if re.match(r"[a-z0-9]", line)]

        assert pins
        assert all("==" in line and line.endswith("\\") for line in pins), lock
        assert not any("://" in line or line.startswith("-") for line in lines), lock


def test_every_command_is_in_the_readme_once_it_exists() -> None:
    """What can be typed is found in the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    existing = [
        name
        for name, (place, _) in COMMANDS.items()
        if (ROOT / "feefifod/cli" / f"{place.partition(':')[0]}.py").exists()
    ]

    assert [name for name in existing if f"`{name}" not in readme] == []


def test_readme_links_lead_somewhere() -> None:
    """A link in the README or the documents is not dead."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
