"""The embedded PostgreSQL: its programs driven directly."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar, Final

from anyio import to_thread

from feefifod.config.settings import EmbeddedSettings
from feefifod.errors import Unavailable
from feefifod.servers.account import Account, choose_account
from feefifod.servers.artifact import find_postgres
from feefifod.servers.nameless import tools_for_us
from feefifod.servers.password import Password
from feefifod.servers.ports import HOST
from feefifod.servers.process import clean_environment
from feefifod.servers.refusals import explain_start
from feefifod.servers.server import Server

# User and database have the same name.
_NAME: Final = "feefifod"
_PREPARE_SECONDS: Final = 120


class PostgreSQL(Server):
    """PostgreSQL on loopback only, with a generated password, its data owned by a user that is not root."""

    name: ClassVar[str] = "postgres"
    program: ClassVar[str] = "postgres"
    version: ClassVar[str] = "18"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # Its "fast" shutdown: does not wait for clients.
    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, state: Path, settings: EmbeddedSettings | None = None) -> None:
        super().__init__(state, settings)
        # In the format of libpq's password file, so that psql can be told where it is instead of what it is.
        self.password = Password(state / "servers" / "postgres.password", "*:*:*:*:")

    @property
    def folder(self) -> Path:
        return self.state / "postgres" / "data"

    def dsn(self, numbers: dict[str, int]) -> str:
        """Say where it is, password included."""
        place = f"{HOST}:{numbers['postgres_port']}/{_NAME}"
        # Without TLS, which it has not, no certificate of the user's home is looked for.
        return f"postgresql://{_NAME}:{self.password.read()}@{place}?sslmode=disable"

    def url(self, numbers: dict[str, int]) -> str:
        return f"postgresql://{_NAME}@{HOST}:{numbers['postgres_port']}/{_NAME}"

    def variables(self, numbers: dict[str, int]) -> dict[str, str]:
        """Return what libpq's programs need in their environment; the password stays in its file."""
        return {
            "PATH": str(find_postgres()),
            "PGHOST": HOST,
            "PGPORT": str(numbers["postgres_port"]),
            "PGUSER": _NAME,
            "PGDATABASE": _NAME,
            "PGPASSFILE": str(self.password.path),
        }

    @property
    def wanted_ports(self) -> dict[str, int]:
        return {"postgres_port": self.settings.postgres_port}

    async def prepare(self) -> Account:
        return await to_thread.run_sync(self._prepare_data, limiter=self._threads)

    def _prepare_data(self) -> Account:
        parent = self.folder.parent
        account = choose_account(parent, find_postgres() / "postgres")
        for stale in parent.glob("new-*"):
            if stale.is_file():
                stale.unlink()
            else:
                shutil.rmtree(stale, ignore_errors=True)
        if not self.folder.exists():
            self._make_data(account, parent)
        elif not self.password.path.exists():
            # A lost password is healed: the data is complete and must not be lost with it.
            password = self.password.read() or secrets.token_hex(24)
            with tools_for_us(find_postgres(), parent) as tools:
                self._run(
                    account, self._single_user(tools, self.folder), f"ALTER ROLE {_NAME} PASSWORD '{password}';\n"
                )
            self.password.write(password)
        # Nothing of an earlier server lives (`Server.stop` saw to it), so its lock file is stale. PostgreSQL itself
        # would be deceived by a recycled pid, as they are common in containers.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        return account

    def _make_data(self, account: Account, parent: Path) -> None:
        """Make the data under another name, so that an interrupted attempt is never taken for it."""
        new = parent / f"new-{secrets.token_hex(4)}"
        self.password.provide()
        flags = ["-D", str(new), "-U", _NAME, "-E", "UTF8", "--locale=C"]
        with (
            tools_for_us(find_postgres(), parent) as tools,
            tempfile.NamedTemporaryFile(prefix="new-", dir=parent) as secret,
        ):
            secret.write(self.password.read().encode())
            secret.flush()
            if (owner := parent.stat()).st_uid != os.geteuid():
                os.fchown(secret.fileno(), owner.st_uid, owner.st_gid)
            arguments = ["-A", "scram-sha-256", f"--pwfile={secret.name}", "--no-instructions"]
            self._run(account, [str(tools / "initdb"), *flags, *arguments])
            self._run(account, self._single_user(tools, new), f"CREATE DATABASE {_NAME};\n")
        new.rename(self.folder)

    @staticmethod
    def _single_user(tools: Path, data: Path) -> list[str]:
        return [str(tools / "postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on", "template1"]

    def _run(self, account: Account, command: list[str], text: str = "") -> None:
        # A session of its own: Ctrl-C is for us to see, who then leave an attempt that the next start clears away.
        try:
            result = subprocess.run(
                [*account.prefix, *command],
                input=text.encode(),
                capture_output=True,
                cwd=self.folder.parent,
                env=clean_environment(),
                start_new_session=True,
                umask=0o077,
                user=account.user,
                group=account.group,
                extra_groups=account.extra_groups,
                timeout=_PREPARE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"PostgreSQL's data is not made after {_PREPARE_SECONDS} s",
                where=str(self.folder),
                remedy="The disk of [paths] state is slow or hangs; the next start begins anew",
            ) from error
        if result.returncode != 0:
            said = (result.stdout + result.stderr).decode("utf-8", "backslashreplace")
            raise explain_start("postgres", said, str(self.folder))

    async def command(self, numbers: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        options = {
            "listen_addresses": HOST,
            "port": str(numbers["postgres_port"]),
            # No Unix socket: its path would have to be shorter than 108 bytes.
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "50",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(find_postgres() / "postgres"), "-D", str(self.folder), *flags], clean_environment()

    def answers(self, numbers: dict[str, int]) -> bool:
        place = ["-h", HOST, "-p", str(numbers["postgres_port"]), "-U", _NAME, "-d", _NAME]
        environment = {"PGPASSFILE": str(self.password.path), "PGCONNECT_TIMEOUT": "3", "PGSSLMODE": "disable"}
        try:
            result = subprocess.run(
                [str(find_postgres() / "psql"), "-X", "-w", *place, "-Atc", "select 1"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=clean_environment(environment),
                timeout=5,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return result.stdout.strip() == b"1"
