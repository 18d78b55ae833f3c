from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from feefifod.servers import Endpoints
from tests.support.daemon import World, database, describe
from tests.support.embedded import run_pair, unique_name
from tests.support.fault_proxy import FaultProxy, run_proxy


@pytest.fixture
def world(pair: Endpoints, tmp_path: Path) -> Iterator[World]:
    """A folder with a table and a database of its own on the pair that all tests share."""
    with database(pair.postgres_dsn, unique_name("test")) as dsn:
        questdb = {"url": pair.questdb_url, "table": unique_name("prices"), "import_dir": str(pair.import_dir)}
        world = World(
            tmp_path / "feefifod",
            describe(questdb=questdb, postgres_url=dsn),
            questdb_url=pair.questdb_url,
            postgres_dsn=dsn,
        )
        yield world
        world.close()


@pytest.fixture
def questdb_proxy(world: World) -> Iterator[FaultProxy]:
    """A proxy between the world's feefifod and QuestDB."""
    parts = urlsplit(world.questdb_url)
    with run_proxy(parts.hostname or "", parts.port or 0) as proxy:
        world.configure(databases={"questdb": {**world.questdb, "url": f"http://{proxy.address}"}})
        yield proxy


@pytest.fixture
def postgres_proxy(world: World) -> Iterator[FaultProxy]:
    """A proxy between the world's feefifod and PostgreSQL."""
    parts = urlsplit(world.postgres_dsn)
    with run_proxy(parts.hostname or "", parts.port or 0) as proxy:
        world.configure(postgres={"url": world.postgres_dsn.replace(f"{parts.hostname}:{parts.port}", proxy.address)})
        yield proxy


@pytest.fixture(scope="module")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def own_pair(own_state: Path) -> Iterator[Endpoints]:
    """A pair whose servers may be killed."""
    with run_pair(own_state) as endpoints:
        yield endpoints


@pytest.fixture
def own_world(own_pair: Endpoints, own_state: Path, tmp_path: Path) -> Iterator[World]:
    """A world that uses that pair as its embedded one, and so supervises it."""
    sections = describe(questdb={"table": unique_name("prices")}, postgres_url="embedded")
    sections["paths"] = {"state": str(own_state / "state")}
    world = World(tmp_path / "feefifod", sections, questdb_url=own_pair.questdb_url, postgres_dsn=own_pair.postgres_dsn)
    yield world
    world.close()


@pytest.fixture
def worlds(pair: Endpoints, tmp_path: Path) -> Callable[[], AbstractContextManager[World]]:
    """Makes worlds of small windows, each with a table and a database of its own."""

    @contextmanager
    def make() -> Iterator[World]:
        name = unique_name("model")
        with database(pair.postgres_dsn, name) as dsn:
            questdb = {"url": pair.questdb_url, "table": name, "import_dir": str(pair.import_dir)}
            sections = describe(questdb=questdb, postgres_url=dsn)
            sections["watch"] = {"settle_seconds": 0.1, "truncated_seconds": 0.1, "rescan_seconds": 1.0}
            sections["pipeline"] = {"window_rows": 1_000}
            world = World(tmp_path / name, sections, questdb_url=pair.questdb_url, postgres_dsn=dsn)
            yield world
            world.close()
            shutil.rmtree(world.root)

    return make
