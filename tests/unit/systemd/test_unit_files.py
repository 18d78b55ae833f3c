"""The shipped systemd files, and those that are made of them, are what systemd takes and as closed as promised."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from feefifod.cli.main import run_command_line
from feefifod.cli.units import Machine, find_templates, user_folder, write_system_files, write_user_files
from feefifod.config import PathSettings, Settings
from feefifod.errors import Refused

SYSTEMD = Path(__file__).resolve().parents[3] / "systemd"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
EXPOSURE_TENTHS = 20


def machine(
    *, root: str = "/data/feefifod", url: str = "http://127.0.0.1:9000", executable: str = "/bin/true"
) -> Machine:
    """Describe a machine; only the executable has to exist."""
    settings = Settings.model_validate(
        {
            "paths": {
                "data": f"{root}/drop",
                "ingested": f"{root}/done",
                "rejected": f"{root}/bad",
                "state": "/var/lib/feefifod",
            },
            "databases": {"questdb": {"url": url}},
            "postgres": {"url": url if url == "embedded" else "postgresql://feefifod@localhost/feefifod"},
        }
    )
    return Machine(Path(executable), Path("/etc/feefifod/config.toml"), settings)


def save(files: dict[Path, str]) -> list[Path]:
    """Write files, and give the units among them."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [path for path in files if path.suffix in (".service", ".timer")]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False, env={"LC_ALL": "C"}
    )


def read(text: str) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case of names
    unit.read_string(text)
    return unit["Service"]


@needs_systemd
@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "embedded"])
def test_systemd_takes_the_files_and_they_are_closed(tmp_path: Path, url: str) -> None:
    units = save(write_system_files(machine(url=url), tmp_path))

    verified = analyze("verify", "--man=no", *units)
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit in units:
        if unit.suffix == ".service":
            done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", "--no-pager", unit)
            assert done.returncode == 0, done.stdout.splitlines()[-1]
            level = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
            assert level
            assert float(level[1]) <= EXPOSURE_TENTHS / 10


@needs_systemd
def test_systemd_takes_the_files_of_a_user(tmp_path: Path) -> None:
    units = save(write_user_files(machine(), tmp_path))

    verified = analyze("verify", "--man=no", "--user", *units)
    assert [line for line in verified.stderr.splitlines() if "feefifod" in line] == []


def test_what_the_daemon_relies_on() -> None:
    service = read((SYSTEMD / "feefifod.service").read_text())

    assert (service["Type"], service["KillMode"], service["ExecReload"]) == (
        "notify",
        "mixed",
        "/bin/kill -HUP $MAINPID",
    )
    assert int(service["WatchdogSec"]) >= 30
    assert int(service["TimeoutStopSec"]) >= 30
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert service["NotifyAccess"] == "main"
    # The lease's holder is looked up among all processes; the boot id and time say whether it is of this boot.
    assert "ProtectProc" not in service
    assert "ProcSubset" not in service


def test_every_relaxation_has_a_reason() -> None:
    """In the drop-in for embedded servers no setting stands without a comment above its group."""
    groups: list[list[str]] = [[]]
    for line in (SYSTEMD / "feefifod.service.d/embedded.conf").read_text().splitlines():
        if line.startswith("#") and groups[-1] and not groups[-1][-1].startswith("#"):
            groups.append([])
        if line and not line.startswith("["):
            groups[-1].append(line)

    assert len(groups) > 5
    assert all(group[0].startswith("#") and not group[-1].startswith("#") for group in groups[1:])


def test_folders_share_one_mount(tmp_path: Path) -> None:
    """A rename from one writable entry to another would be a copy."""
    files = write_system_files(machine(), tmp_path)
    unit = files[tmp_path / "systemd/system/feefifod.service"]

    assert read(unit)["ReadWritePaths"] == "/data/feefifod"
    assert read(unit)["ExecStart"] == "/bin/true run --config /etc/feefifod/config.toml"
    folders = files[tmp_path / "tmpfiles.d/feefifod.conf"]
    assert "\nd /data/feefifod/drop 2770 feefifod feefifo-drop\n" in folders
    assert "/srv" not in "".join(line for line in folders.splitlines() if not line.startswith("#"))


def test_folders_far_apart_are_named_one_by_one(tmp_path: Path) -> None:
    """Nobody wants a service that writes everywhere because its folders have only / in common."""
    here = machine()
    paths = PathSettings(
        data=Path("/drop"), ingested=Path("/big disk/100%/done"), rejected=Path("/drop2"), state=Path("/state")
    )
    there = Machine(here.executable, here.config, here.settings.model_copy(update={"paths": paths}))
    files = write_system_files(there, tmp_path)

    unit = read(files[tmp_path / "systemd/system/feefifod.service"])
    assert unit["ReadWritePaths"] == '/drop "/big disk/100%%/done" /drop2 /state'
    assert "d / " not in files[tmp_path / "tmpfiles.d/feefifod.conf"]


def test_a_home_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="/home/alice/drop"):
        write_system_files(machine(root="/home/alice"), tmp_path)


def test_a_users_unit_wants_nothing_of_root(tmp_path: Path) -> None:
    files = write_user_files(machine(root="/home/alice"), tmp_path)
    service = read(files[tmp_path / "feefifod.service"])

    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert not {"User", "ReadWritePaths", "CapabilityBoundingSet", "SystemCallFilter", "ProtectSystem"} & set(service)
    assert "WantedBy=default.target" in files[tmp_path / "feefifod.service"]


def test_the_command_writes_prints_and_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    folder = user_folder({"XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert run_command_line(["install-service", "--user"]) == 2
    assert "config init" in capsys.readouterr().err
    (tmp_path / "config.toml").write_text("")

    assert run_command_line(["install-service", "--user", "--print"]) == 0
    printed = capsys.readouterr().out
    assert not folder.exists()
    assert run_command_line(["install-service", "--user"]) == 0
    assert "systemctl --user enable --now feefifod" in capsys.readouterr().out
    for path in folder.iterdir():
        assert path.read_text().strip() in printed
    assert f" run --config {tmp_path}/config.toml" in (folder / "feefifod.service").read_text()

    (folder / "other.service").write_text("not ours")
    assert run_command_line(["install-service", "--user", "--remove"]) == 0
    assert [path.name for path in folder.iterdir()] == ["other.service"]


def test_the_shipped_files_are_found() -> None:
    assert (find_templates() / "feefifod.service").exists()
