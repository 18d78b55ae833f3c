"""A look at the pair from outside: touches no server, starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feefifod.servers.folder import explain_closed
from feefifod.servers.postgres import PostgreSQL
from feefifod.servers.questdb import QuestDB
from feefifod.servers.server import Server
from feefifod.servers.users import list_users


@dataclass(frozen=True)
class ServerStatus:
    """A running server: its pid, its URL without password, since when it runs, and its version."""

    pid: int
    url: str
    since: datetime
    version: str


@dataclass(frozen=True)
class PairStatus:
    """What runs on a state.

    Attributes:
        questdb, postgres: None when it does not run.
        users: pids of those who use the pair now, one for each use.
        kept_up: the pair stays up without users, until it is taken down.
    """

    questdb: ServerStatus | None
    postgres: ServerStatus | None
    users: tuple[int, ...]
    kept_up: bool


def look(state: Path) -> PairStatus:
    """Tell what runs on this state and who uses it.

    Raises:
        Refused: the state is closed to us.
    """
    with explain_closed(state):
        real = state.resolve()
        return PairStatus(
            questdb=_look_at(QuestDB(real)),
            postgres=_look_at(PostgreSQL(real)),
            users=list_users(real / "servers" / "users"),
            kept_up=(real / "servers" / "keep").exists(),
        )


def describe_access(state: Path) -> dict[str, str]:
    """Return variables with which other programs find the servers that run; PATH is what goes before the rest of it.

    Raises:
        Refused: the state is closed to us.
    """
    with explain_closed(state):
        questdb, postgres = QuestDB(state.resolve()), PostgreSQL(state.resolve())
        variables: dict[str, str] = {}
        if (record := postgres.running()) is not None:
            variables |= postgres.variables(record.ports)
        if (record := questdb.running()) is not None:
            variables |= {"QUESTDB_URL": questdb.url(record.ports), "QUESTDB_ROOT": str(questdb.folder)}
        return variables


def _look_at(server: Server) -> ServerStatus | None:
    record = server.running()
    if record is None:
        return None
    return ServerStatus(record.pid, server.url(record.ports), datetime.fromisoformat(record.started), record.version)
