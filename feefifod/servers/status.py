"""A look at the pair from outside: touches no server, starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from feefifod.config.settings import QuestDBSettings
from feefifod.servers.folder import explain_closed
from feefifod.servers.postgres import PostgreSQL
from feefifod.servers.questdb import USER, QuestDB
from feefifod.servers.server import Server
from feefifod.servers.users import list_users


@dataclass(frozen=True)
class ServerStatus:
    """A running server.

    Attributes:
        url: without password.
        user, password_file: how to sign in; empty where an older version started one that lets everybody in.
    """

    pid: int
    url: str
    since: datetime
    version: str
    user: str
    password_file: str


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
            questdb=_look_at(questdb := QuestDB(real), questdb.password.path),
            postgres=_look_at(postgres := PostgreSQL(real), postgres.password.path),
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
            variables |= {
                "QUESTDB_URL": questdb.url(record.ports),
                "QUESTDB_ROOT": str(questdb.folder),
                "QUESTDB_USER": USER,
                "QUESTDB_PASSWORD_FILE": str(questdb.password.path),
            }
        return variables


def find_embedded_questdb(questdb: QuestDBSettings, state: Path) -> QuestDBSettings | None:
    """Complete the section of the embedded QuestDB with where it is and what lets us in; None when it does not run.

    Raises:
        Refused: the state is closed to us.
    """
    with explain_closed(state):
        server = QuestDB(state.resolve())
        record = server.running()
        if record is None:
            return None
        return sign_in(questdb, server.url(record.ports), USER, server.password.read())


def sign_in(questdb: QuestDBSettings, url: str, user: str, password: str) -> QuestDBSettings:
    """Put URL, user and password into the section of a QuestDB."""
    return questdb.model_copy(update={"url": url, "user": user, "password": SecretStr(password)})


def _look_at(server: Server, password_file: Path) -> ServerStatus | None:
    record = server.running()
    if record is None:
        return None
    asks = bool(record.password) or not isinstance(server, QuestDB)
    return ServerStatus(
        pid=record.pid,
        url=server.url(record.ports),
        since=datetime.fromisoformat(record.started),
        version=record.version,
        user=USER if asks else "",
        password_file=str(password_file) if asks else "",
    )
