"""What waiting cannot cure is said at once, in words, with a remedy; what it can is waited for."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from feefifod.catalog import open_database
from feefifod.errors import ConfigError, FeefifodError, Refused, Unavailable
from feefifod.servers import Endpoints
from tests.support.embedded import fresh_database, unique_name

CLASS_NAME = re.compile(r"\b[A-Za-z]+Error\b|\bgaierror\b|\bErrno\b")


async def fail(dsn: str) -> FeefifodError:
    with pytest.raises(FeefifodError) as caught:
        async with open_database(dsn):
            pass
    assert CLASS_NAME.search(str(caught.value)) is None, str(caught.value)
    assert caught.value.where
    password = urlsplit(dsn).password
    assert not password or password not in str(caught.value)
    return caught.value


@pytest.fixture
async def dsn(pair: Endpoints) -> AsyncIterator[str]:
    async with fresh_database(pair) as dsn:
        yield dsn


@pytest.fixture
async def guest(pair: Endpoints, dsn: str) -> AsyncIterator[str]:
    """The URL of a user without any rights in a database."""
    name = unique_name("guest")
    connection = await asyncpg.connect(pair.postgres_dsn)
    database = urlsplit(dsn).path.removeprefix("/")
    try:
        await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
        host = urlsplit(dsn).netloc.rpartition("@")[2]
        yield f"postgresql://{name}:hunter2@{host}/{database}?sslmode=disable"
        await connection.execute(f"DROP ROLE {name}")
    finally:
        await connection.close()


def replaced(dsn: str, **parts: str) -> str:
    split = urlsplit(dsn)
    user, _, rest = split.netloc.partition(":")
    password, _, host = rest.rpartition("@")
    netloc = f"{parts.get('user', user)}:{parts.get('password', password)}@{parts.get('host', host)}"
    return split._replace(
        netloc=netloc, path=parts.get("path", split.path), query=parts.get("query", split.query)
    ).geturl()


async def test_wrong_credentials_and_databases_are_refused(dsn: str) -> None:
    for change in ({"password": "wrong"}, {"user": "nobody_at_all"}, {"path": "/no_such_database"}):
        error = await fail(replaced(dsn, **change))
        assert isinstance(error, Refused)
        assert error.remedy
    assert "no_such_database" in str(error)


async def test_a_user_that_may_create_nothing_is_told_what_to_grant(guest: str) -> None:
    error = await fail(guest)

    assert isinstance(error, Refused)
    assert "GRANT CREATE" in error.remedy


async def test_a_parameter_that_the_server_does_not_know_is_wrong_configuration(dsn: str) -> None:
    error = await fail(replaced(dsn, query="sslmode=disable&no_such_setting=1"))

    assert isinstance(error, ConfigError)
    assert "no_such_setting" in str(error)


async def test_too_many_connections_are_waited_for(pair: Endpoints, guest: str) -> None:
    connection = await asyncpg.connect(pair.postgres_dsn)
    await connection.execute(f"ALTER ROLE {urlsplit(guest).username} CONNECTION LIMIT 0")
    await connection.close()

    error = await fail(guest)

    assert isinstance(error, Unavailable)
    assert "too many connections" in str(error)


async def test_encryption_that_the_server_does_not_speak(dsn: str, tmp_path: Path) -> None:
    error = await fail(replaced(dsn, query="sslmode=require"))
    assert isinstance(error, Refused)
    assert "without encryption" in str(error)

    error = await fail(replaced(dsn, query="sslmode=verify-full"))
    assert isinstance(error, ConfigError)
    assert "sslrootcert" in error.remedy


async def test_hosts_and_ports_where_nothing_is(dsn: str) -> None:
    error = await fail(replaced(dsn, host="127.0.0.1:1"))
    assert isinstance(error, Unavailable)
    assert "nothing listens" in str(error)

    error = await fail(replaced(dsn, host="no-such-host.invalid:5432"))
    assert "name" in str(error)

    error = await fail("postgresql://me@/db?host=/no/such/folder")
    assert "socket" in str(error)


@asynccontextmanager
async def serve(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Answer each caller's first words, then speak TLS or close; gives host and port."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(8)
            writer.write(answer)
            await writer.drain()
            if context is not None:
                await writer.start_tls(context)
                await reader.read(1)
        except (OSError, ssl.SSLError):
            pass  # The caller hangs up: that is what is tested.
        finally:
            writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def test_what_is_no_postgresql(dsn: str) -> None:
    async with serve(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        for query in ("sslmode=disable", "sslmode=require"):
            error = await fail(replaced(dsn, host=place, query=query))
            assert "[postgres] url" in f"{error.where} {error.remedy}"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, which makes certificates")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db.example"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return tmp_path


async def test_certificates_that_are_not_accepted(dsn: str, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with serve(b"S", context) as place:
        error = await fail(replaced(dsn, host=place, query="sslmode=verify-full&sslrootcert=system"))
        assert isinstance(error, Refused)
        assert "sslrootcert" in error.remedy

        query = f"sslmode=verify-full&sslrootcert={certificate / 'cert.pem'}"
        error = await fail(replaced(dsn, host=place, query=query))
        assert isinstance(error, Refused)
        assert "as its certificate does" in error.remedy
