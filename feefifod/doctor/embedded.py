"""The embedded pair: is it installed, does it run, and could it start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feefifod.doctor.finding import Finding, fail, good, warn
from feefifod.errors import ConfigError
from feefifod.servers.artifact import require_installed
from feefifod.servers.ports import is_free, name_holder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feefifod.config import EmbeddedSettings
    from feefifod.servers import PairStatus

CHECK = "embedded servers"
WHY = "commands start what they need and stop it afterwards; the daemon keeps it up"


def check_embedded(
    settings: EmbeddedSettings, pair: PairStatus | None, *, questdb: bool, postgres: bool
) -> Iterator[Finding]:
    """Look at the servers that are embedded."""
    missing = False
    try:
        require_installed(questdb=questdb, postgres=postgres)
    except ConfigError as error:
        missing = True
        yield fail(CHECK, error.why, "the configuration asks for them", error.remedy)
    running = {"QuestDB": pair.questdb if pair else None, "PostgreSQL": pair.postgres if pair else None}
    for name, wanted in (("QuestDB", questdb), ("PostgreSQL", postgres)):
        server = running[name]
        if not wanted or missing:
            continue
        if server is not None:
            yield good(CHECK, f"{name} {server.version} runs, pid {server.pid}, {server.url}", WHY)
            if not server.password_file:
                what = f"{name}, pid {server.pid}, asks for no password: an older version started it"
                why = "any web page that is open in a browser of this machine can change or drop the table"
                yield warn(CHECK, what, why, "Stop all that uses it (and: feefifod servers down), and start it again")
            continue
        ports = ("http_port", "pg_wire_port", "health_port") if name == "QuestDB" else ("postgres_port",)
        yield from check_ports(name, settings, ports)


def check_ports(name: str, settings: EmbeddedSettings, ports: Sequence[str]) -> Iterator[Finding]:
    """Say that a server does not run, and whether its ports are free for it."""
    busy = [port for port in ports if getattr(settings, port) and not is_free(getattr(settings, port))]
    if not busy:
        yield good(CHECK, f"{name} is not running, and none was started to look", WHY)
    for port in busy:
        number = getattr(settings, port)
        what = f"{name} is not running, and its port {number} is taken by {name_holder(number)}"
        remedy = f"Stop that, or: feefifod config set embedded.{port} 0 (0 takes any free one)"
        yield fail(CHECK, what, "it cannot start", remedy)
