from __future__ import annotations

import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from feefifod.servers import Endpoints
from feefifod.servers.ports import find_free
from tests.support.daemon import World, database, describe
from tests.support.embedded import unique_name


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def samples(self) -> dict[str, float]:
        """Prometheus text as name with labels → value."""
        lines = [line for line in self.body.decode().splitlines() if not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def ask(port: int, path: str, *, method: str = "GET", host: str | None = None) -> Answer:
    """Ask the status endpoint."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, headers={"Host": host} if host is not None else {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@dataclass
class Systemd:
    """The other end of NOTIFY_SOCKET."""

    path: str
    messages: list[str] = field(default_factory=list)

    @property
    def states(self) -> list[str]:
        """The messages without the time in them, repeats in a row once."""
        states: list[str] = []
        for message in self.messages:
            state = message.split("\n")[0]
            if not states or states[-1] != state:
                states.append(state)
        return states


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        fake = Systemd(str(Path(folder) / "notify"))
        receiver.bind(fake.path)

        def receive() -> None:
            while message := receiver.recv(65536):
                fake.messages.append(message.decode())

        thread = threading.Thread(target=receive, daemon=True)
        thread.start()
        yield fake
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", fake.path)
        thread.join(5)


@pytest.fixture
def port() -> int:
    [port] = find_free(1)
    return port


@pytest.fixture
def world(pair: Endpoints, tmp_path: Path, port: int) -> Iterator[World]:
    """A folder with a table and a database of its own on the shared pair; its daemon answers on `port`."""
    with database(pair.postgres_dsn, unique_name("test")) as dsn:
        questdb = {"url": pair.questdb_url, "table": unique_name("prices"), "import_dir": str(pair.import_dir)}
        world = World(
            tmp_path / "feefifod",
            describe(questdb=questdb, postgres_url=dsn),
            questdb_url=pair.questdb_url,
            postgres_dsn=dsn,
        )
        world.configure(http={"listen": f"127.0.0.1:{port}"})
        yield world
        world.close()
