"""Whom PostgreSQL runs as. It refuses root, so root lends it an unprivileged account."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feefifod.errors import Refused

_USERS: Final = ("postgres", "nobody")
# The weaker right first; containers often lack it but have the stronger one.
_CAPABILITIES: Final = ("dac_read_search", "dac_override")
_REMEDY: Final = "Run feefifod as an ordinary user, or set postgres.url to a server of your own"


@dataclass(frozen=True)
class Account:
    """How to start a process as someone: a command in front of it, or the ids that it takes on."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None


MYSELF: Final = Account()


def choose_account(folder: Path, program: Path) -> Account:
    """Choose the account for a program that refuses root, and give it the folder, made when missing.

    Only this folder changes hands; no permission outside it is touched. Where a closed parent folder hides the folder
    or the program from the account, it gets the one capability that passes through (Linux only).

    Raises:
        Refused: root cannot become anyone who reaches both.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return MYSELF
    owner = folder.stat().st_uid
    person = _find_person(owner)
    if owner != person.pw_uid:
        try:
            os.chown(folder, person.pw_uid, person.pw_gid)
        except OSError as error:
            raise Refused(
                f"root cannot give the folder to {person.pw_name}: {error.strerror}", where=str(folder), remedy=_REMEDY
            ) from error
    candidates = [Account(user=person.pw_uid, group=person.pw_gid, extra_groups=())]
    setpriv = shutil.which("setpriv")
    if sys.platform == "linux" and setpriv is not None:
        candidates += [_with_capability(setpriv, person, capability) for capability in _CAPABILITIES]
    for account in candidates:
        if _reaches(account, folder, program):
            return account
    raise Refused(
        f"PostgreSQL does not run as root, and user {person.pw_name} reaches neither its folder nor its program, "
        "because a folder above is closed",
        where=str(folder),
        remedy=_REMEDY,
    )


def _find_person(owner: int) -> pwd.struct_passwd:
    """Find who owns the data already, else the first of the usual unprivileged users."""
    if owner != 0:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            return pwd.struct_passwd((str(owner), "x", owner, owner, "", "/", ""))
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Refused("PostgreSQL does not run as root, and there is no user postgres or nobody", remedy=_REMEDY)


def _with_capability(setpriv: str, person: pwd.struct_passwd, capability: str) -> Account:
    only = f"-all,+{capability}"
    return Account(
        prefix=(
            setpriv,
            f"--reuid={person.pw_uid}",
            f"--regid={person.pw_gid}",
            "--clear-groups",
            f"--inh-caps={only}",
            f"--ambient-caps={only}",
            f"--bounding-set={only}",
            # Otherwise access(2), by which initdb looks for its programs, ignores the capability.
            "--securebits=+no_setuid_fixup",
        )
    )


def _reaches(account: Account, folder: Path, program: Path) -> bool:
    probe = 'cd -- "$1" && test -x "$2" && exec "$2" --version'
    command = [*account.prefix, "/bin/sh", "-c", probe, "sh", str(folder), str(program)]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return result.returncode == 0
