"""The pair as its users see it: there while anybody uses it, gone with the last."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import anyio

from feefifod.config.settings import EmbeddedSettings, QuestDBSettings
from feefifod.errors import FeefifodError, Unavailable
from feefifod.lasting import tell_end, tell_fault
from feefifod.servers.artifact import require_installed
from feefifod.servers.folder import prepare_state
from feefifod.servers.learning import learn_start
from feefifod.servers.locks import hold
from feefifod.servers.postgres import PostgreSQL
from feefifod.servers.process import trim_log
from feefifod.servers.questdb import USER, QuestDB
from feefifod.servers.server import START_SECONDS, Server
from feefifod.servers.starting import ORDINARY, announce_start
from feefifod.servers.status import PairStatus, look, sign_in
from feefifod.servers.users import Seat, list_users, sweep_dead

_NOTICE_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 30.0
_JOIN_SECONDS: Final = 2 * START_SECONDS
_LEAVE_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Endpoints:
    """Where the pair answers. What was not asked for is empty.

    Attributes:
        questdb_url: `http://127.0.0.1:PORT`, no password.
        questdb_user, questdb_password: for its HTTP and its PostgreSQL wire; the latter is not for logs.
        postgres_dsn: with the password; not for logs.
        import_dir: the SQL import root of the embedded QuestDB, a folder that both sides see.
    """

    questdb_url: str
    postgres_dsn: str = field(repr=False)
    import_dir: Path
    questdb_user: str = ""
    questdb_password: str = field(default="", repr=False)

    def admit(self, questdb: QuestDBSettings) -> QuestDBSettings:
        """Complete the section of an embedded QuestDB with where it is and what lets us in."""
        return sign_in(questdb, self.questdb_url, self.questdb_user, self.questdb_password)


class Servers:
    """The running pair, for one user of it."""

    def __init__(self, settings: EmbeddedSettings, state: Path, *, questdb: bool, postgres: bool) -> None:
        self._state = state
        self._questdb = QuestDB(state, settings)
        self._postgres = PostgreSQL(state, settings)
        chosen: list[tuple[Server, bool]] = [(self._questdb, questdb), (self._postgres, postgres)]
        self._wanted = [server for server, wanted in chosen if wanted]
        self._endpoints: Endpoints | None = None
        self._seat: Seat | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where they answer; stays the same however often they are restarted."""
        if self._endpoints is None:
            raise RuntimeError("the servers are not started yet")
        return self._endpoints

    async def supervise(self) -> NoReturn:
        """Restart what dies, on the same ports, for ever. Fails never; waits longer after each failed attempt."""
        async with anyio.create_task_group() as group:
            for server in self._wanted:
                group.start_soon(self._keep_alive, server)
        raise AssertionError("the keepers never end")  # pragma: no cover

    async def _keep_alive(self, server: Server) -> NoReturn:
        pause = _NOTICE_SECONDS
        while True:
            await anyio.sleep(pause)
            try:
                trim_log(server.log)
                if server.running() is not None:
                    pause = _NOTICE_SECONDS
                    tell_end("server_down", server.name)
                    continue
                tell_fault("server_down", server.name, "it died, and is started again", server=server.name)
                await server.ensure(shared=True)
            except (FeefifodError, OSError) as error:
                # Jitter, so that several users of one pair do not stand in line for it in step.
                pause = min(2 * pause, _LONGEST_BACKOFF_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
                details: dict[str, Any] = {"server": server.name, "again_in_seconds": round(pause, 1)}
                tell_fault("server_down", server.name, f"it does not come back yet: {error}", **details)

    async def _start(self) -> None:
        require_installed(questdb=self._questdb in self._wanted, postgres=self._postgres in self._wanted)
        if all(server.running() for server in self._wanted):
            await self._join()
        else:
            with announce_start(self._state) as say:
                if self._questdb in self._wanted and self._questdb.running() is None:
                    await learn_start(self._state / "cache", say)
                say(ORDINARY)
                await self._join()
        questdb, postgres = self._questdb.last_record(), self._postgres.last_record()
        self._endpoints = Endpoints(
            questdb_url=self._questdb.url(questdb.ports) if questdb and self._questdb in self._wanted else "",
            postgres_dsn=self._postgres.dsn(postgres.ports) if postgres and self._postgres in self._wanted else "",
            import_dir=self._questdb.import_dir,
            questdb_user=USER if self._questdb in self._wanted else "",
            questdb_password=self._questdb.password.read() if self._questdb in self._wanted else "",
        )

    async def _join(self) -> None:
        async with _transition(self._state):
            users = self._state / "servers" / "users"
            sweep_dead(users)
            self._seat = Seat(users)
            shared = len(list_users(users)) > 1
            await _together(*(partial(server.ensure, shared=shared) for server in self._wanted))

    async def _leave(self) -> None:
        seat = self._seat
        if seat is None:
            return
        try:
            async with _transition(self._state, wait_seconds=_LEAVE_SECONDS):
                seat.leave()
                await _stop_unused(self._state)
        except Unavailable:
            # Who starts or stops servers for so long is a user itself, and will be the last one.
            seat.leave()


@asynccontextmanager
async def use_servers(
    settings: EmbeddedSettings, state: Path, *, questdb: bool = True, postgres: bool = True
) -> AsyncIterator[Servers]:
    """Use the embedded servers of a state: started when they do not run, shared when they do, stopped by the last.

    Raises:
        ConfigError: a port is busy, or the extra [embedded] is not installed.
        Unavailable: a server does not start, or QuestDB cannot be fetched.
        Refused: the state folder cannot be used.
    """
    servers = Servers(settings, prepare_state(state), questdb=questdb, postgres=postgres)
    try:
        try:
            await servers._start()
        except OSError as error:
            raise Unavailable(
                f"the embedded servers cannot be started: {error.strerror}",
                where=str(error.filename or state),
                remedy="Check the free space and the permissions there",
            ) from error
        yield servers
    finally:
        with anyio.CancelScope(shield=True):
            await servers._leave()


async def keep_up(settings: EmbeddedSettings, state: Path) -> PairStatus:
    """Start the pair, and keep it up without users until `take_down`."""
    async with use_servers(settings, state):
        (state / "servers" / "keep").touch()
    return look(state)


async def take_down(state: Path) -> PairStatus:
    """Stop the pair, or, while others use it, let it stop with the last of them.

    Returns:
        What then runs; `users` names who still uses it.
    """
    if (state / "servers").is_dir():
        real = prepare_state(state)
        async with _transition(real):
            (real / "servers" / "keep").unlink(missing_ok=True)
            sweep_dead(real / "servers" / "users")
            await _stop_unused(real)
    return look(state)


def _transition(state: Path, *, wait_seconds: float = _JOIN_SECONDS) -> AbstractAsyncContextManager[None]:
    return hold(
        state / "servers" / "lock",
        wait_seconds=wait_seconds,
        what="another command is starting or stopping the embedded servers",
    )


async def _stop_unused(state: Path) -> None:
    servers = state / "servers"
    if not list_users(servers / "users") and not (servers / "keep").exists():
        await _together(QuestDB(state).stop, PostgreSQL(state).stop)


async def _together(*actions: Callable[[], Awaitable[object]]) -> None:
    """Do things at the same time; of several failures, raise the first."""

    async def run(action: Callable[[], Awaitable[object]]) -> None:
        await action()

    try:
        async with anyio.create_task_group() as group:
            for action in actions:
                group.start_soon(run, action)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
