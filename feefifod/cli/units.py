"""The systemd files of this machine, made from those that feefifod ships."""

from __future__ import annotations

import os
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import feefifod
from feefifod.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feefifod.config import Settings

_EXECUTABLE: Final = "/opt/feefifod/bin/feefifod"
_CONFIG: Final = "/etc/feefifod/config.toml"
_ROOT: Final = "/srv/feefifod"
_STATE: Final = "/var/lib/feefifod"
_CLOSED: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - these are what the unit closes
"""Folders that ProtectHome and PrivateTmp hide from the service."""

_SYSTEM_FILES: Final = {
    "feefifod.service": "systemd/system/feefifod.service",
    "feefifod-run-once.service": "systemd/system/feefifod-run-once.service",
    "feefifod-run-once.timer": "systemd/system/feefifod-run-once.timer",
    "feefifod.sysusers": "sysusers.d/feefifod.conf",
    "feefifod.tmpfiles": "tmpfiles.d/feefifod.conf",
}
_EMBEDDED: Final = {
    f"{unit}.service.d/embedded.conf": f"systemd/system/{unit}.service.d/embedded.conf"
    for unit in ("feefifod", "feefifod-run-once")
}
_USER_FILES: Final = ("feefifod.service", "feefifod-run-once.service", "feefifod-run-once.timer")
_NOT_FOR_USERS: Final = re.compile(
    r"User|Group|SupplementaryGroups|StateDirectory|Ambient|Capability|Protect|Private|Device|ReadWrite|Restrict[^P]"
    r"|LockPersonality|MemoryDeny|RemoveIPC|SystemCall|Wants=network|After=network|MemoryMax|TasksMax|NoNewPrivileges"
)
"""What a user's own systemd may not do, and what it needs not: the service is the user, and may what the user may."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the files are written for.

    Attributes:
        executable: the command `feefifod`.
        config: the configuration file.
        settings: what it says, folders absolute.
    """

    executable: Path
    config: Path
    settings: Settings


def find_templates() -> Path:
    """Find the folder of the shipped files: in the source tree, or where the package put them.

    Raises:
        Refused: it is nowhere.
    """
    places = (
        Path(feefifod.__file__).parents[1] / "systemd",
        Path(sysconfig.get_path("data")) / "share/feefifod/systemd",
    )
    for place in places:
        if (place / "feefifod.service").exists():
            return place
    raise Refused("the shipped systemd files are missing", where=str(places[-1]), remedy="Install feefifod again")


def write_system_files(machine: Machine, etc: Path) -> dict[Path, str]:
    """Make the files for the system's systemd, by path below `etc`.

    Raises:
        Refused: a folder lies where a service cannot see it.
    """
    paths = machine.settings.paths
    for place in (machine.executable, machine.config, paths.data, paths.ingested, paths.rejected, paths.state):
        if any(place.is_relative_to(closed) for closed in _CLOSED):
            raise Refused(
                "a system service sees no home or temporary folders",
                where=str(place),
                remedy="Move it, for instance below /srv/feefifod, or use --user",
            )
    templates = find_templates()
    embedded = "embedded" in (
        machine.settings.databases["questdb"].url,
        machine.settings.postgres.url.get_secret_value(),
    )
    files = {etc / target: _fill_in((templates / name).read_text(), machine) for name, target in _SYSTEM_FILES.items()}
    if embedded:
        drop_in = (templates / "feefifod.service.d/embedded.conf").read_text()
        files |= {etc / target: drop_in for target in _EMBEDDED.values()}
    return files


def list_system_files(etc: Path) -> list[Path]:
    """List every file that `write_system_files` can make."""
    return [etc / target for target in (*_SYSTEM_FILES.values(), *_EMBEDDED.values())]


def user_folder(environ: Mapping[str, str]) -> Path:
    """Return where a user's own units are."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def write_user_files(machine: Machine, folder: Path) -> dict[Path, str]:
    """Make the units for a user's own systemd: the same service, without what only root can give or take."""
    templates = find_templates()
    return {folder / name: _simplify(_fill_in((templates / name).read_text(), machine)) for name in _USER_FILES}


def list_user_files(folder: Path) -> list[Path]:
    """List every file that `write_user_files` can make."""
    return [folder / name for name in _USER_FILES]


def _fill_in(text: str, machine: Machine) -> str:
    paths = machine.settings.paths
    places = (paths.data, paths.ingested, paths.rejected)
    root = Path(os.path.commonpath(places))
    # Nobody wants a service to write everywhere below /srv or /.
    shared = len(root.parts) > 2
    written = [root] if shared else list(dict.fromkeys(places))
    if not paths.state.is_relative_to(_STATE):
        written.append(paths.state)
    text = re.sub(r"(?m)^ReadWritePaths=.*$", lambda _: f"ReadWritePaths={' '.join(map(_quote, written))}", text)
    text = re.sub(rf"(?m)^d {_ROOT} .*\n", lambda line: line[0] if shared and root not in places else "", text)
    words = {
        f"{_ROOT}/data": _quote(paths.data),
        f"{_ROOT}/ingested": _quote(paths.ingested),
        f"{_ROOT}/rejected": _quote(paths.rejected),
        f"d {_STATE} ": f"d {_quote(paths.state)} ",
        f"d {_ROOT} ": f"d {_quote(root)} ",
        _EXECUTABLE: _quote(machine.executable),
        _CONFIG: _quote(machine.config),
    }
    standard = re.compile("|".join(map(re.escape, words)))
    lines = [
        line if line.startswith("#") else standard.sub(lambda found: words[found[0]], line)
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


def _quote(path: Path) -> str:
    """Write a path as systemd reads it back: percent signs are its own, and spaces part words."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    return f'"{text}"' if re.search(r"[\s\"'\\]", text) else text


def _simplify(text: str) -> str:
    """Leave out of a unit what a user's own systemd cannot do, and the comments that explain it."""
    kept: list[str] = []
    for line in text.splitlines():
        if _NOT_FOR_USERS.match(line):
            while kept and kept[-1].startswith("#"):
                kept.pop()
        elif line or (kept and kept[-1]):
            kept.append(line)
    start = next(number for number, line in enumerate(kept) if line.startswith("["))
    return "\n".join(kept[start:]).replace("multi-user.target", "default.target").rstrip() + "\n"
