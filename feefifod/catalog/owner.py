"""Who holds a lease: a process, named so that others on its host can tell whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from feefifod.birth import birth


@dataclass(frozen=True, slots=True)
class Owner:
    """A process on a host; `token` tells two leases of one process apart."""

    host: str
    pid: int
    started: str
    token: str

    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}/{self.token}"


def this_owner() -> Owner:
    """Name this process."""
    return Owner(_host(), os.getpid(), _started(os.getpid()), secrets.token_hex(4))


def is_dead(owner: str) -> bool:
    """Tell whether an owner is a process of this host that is gone; of other hosts nothing is known."""
    host, _, rest = owner.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if host != _host() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    born = birth(pid)
    return "" if born is None else str(born)


def _host() -> str:
    # A container shares its kernel's boot id with others but not their process ids, hence the namespace.
    name = socket.gethostname().replace("/", "_")
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
        space = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return name
    return f"{name}.{boot}.{space}"
