"""What is handed out: a wheel and an sdist that hold all that is needed, and install into an empty environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.project import ROOT

UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "NameResolutionError",
    "No matching distribution",
    "timed out",
)


def run(command: Sequence[str | Path], folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    names = [name for name in os.environ if name.startswith(("FEEFIFOD", "PYTHON", "VIRTUAL_ENV"))]
    environment = {name: value for name, value in os.environ.items() if name not in names} | environ
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def build(source: Path, target: Path) -> tuple[Path, Path]:
    """Build wheel and sdist of a source tree, without a network."""
    done = run([sys.executable, "-m", "hatchling", "build", "-d", target], source)
    assert done.returncode == 0, done
    [wheel], [sdist] = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package(built: tuple[Path, Path]) -> None:
    """Without its SQL, TOML and migrations the program starts, and fails later."""
    wheel, _ = built
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "feefifod").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }

    assert {Path(name).suffix for name in files} >= {".py", ".sql", ".toml"}
    assert files <= members(wheel)
    assert not any(name.startswith(("tests/", "bench/", "docs/")) for name in members(wheel))


def test_the_sdist_builds_the_same_wheel_and_holds_no_data_of_ours(built: tuple[Path, Path], tmp_path: Path) -> None:
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()

    again, _ = build(tree, tmp_path / "dist")

    assert members(again) == members(wheel)
    assert not (tree / ".venv").exists()
    assert [path.name for path in (tree / "data").iterdir()] == [".gitkeep"]
    assert not list(tree.rglob(".feefifod"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_works_in_an_empty_environment_without_the_embedded_servers(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    wheel, _ = built
    environment, folder = tmp_path / "an empty place", tmp_path / "user"
    folder.mkdir()
    assert run([sys.executable, "-m", "venv", environment], tmp_path).returncode == 0
    installed = run([environment / "bin/pip", "install", "--quiet", wheel], tmp_path, PIP_NO_INPUT="1")
    if installed.returncode != 0 and any(word in installed.stderr for word in UNREACHABLE):
        pytest.skip("the packages that feefifod depends on cannot be fetched here")
    assert installed.returncode == 0, installed
    program = environment / "bin/feefifod"

    assert "Stream Kraken OHLCVT files" in run([program, "--help"], folder).stdout
    shown = run([program, "config", "show"], folder)
    assert (shown.returncode, 'paths.data = "' in shown.stdout) == (0, True)
    assert run([program, "config", "init"], folder).returncode == 0
    (folder / "data").mkdir()
    (folder / "data" / "XBTUSD_60.csv").write_text("1499997600,1,1,1,1,1,1\n")
    for command in (["query", "SELECT 1"], ["run-once"], ["assets", "list"], ["servers", "up"], ["run"]):
        refused = run([program, *command], folder)
        assert (refused.returncode, refused.stdout) == (2, ""), refused
        assert "pip install 'feefifod[embedded]'" in refused.stderr
        assert "or set" in refused.stderr
        assert "Traceback" not in refused.stderr
    doctor = run([program, "doctor"], folder)
    assert doctor.returncode == 1
    assert "feefifod[embedded]" in doctor.stdout
    assert run([program, "status"], folder).returncode == 0
