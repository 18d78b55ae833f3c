"""What all tests share."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from feefifod.servers import Endpoints
from tests.support.embedded import drop_tables, run_pair

# The terminal of whoever runs the tests, or what stands for it, is not what they are about.
os.environ.pop("COLUMNS", None)

# The same examples each time, so that a change is judged by what it changed; `make chaos` looks for new ones.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


def pytest_collection_finish() -> None:
    """Spare the garbage collector thousands of collected tests and all modules, at each of its rounds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """One pair for all tests that do not hurt it, shared by the processes that run them side by side."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-pair"
    folder.mkdir(exist_ok=True)
    with run_pair(folder, external=True) as endpoints:
        yield endpoints


@pytest.fixture(autouse=True)
def _tables(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop what a test made on the pair that all share."""
    endpoints: Endpoints | None = request.getfixturevalue("pair") if "pair" in request.fixturenames else None
    yield
    if endpoints is not None:
        drop_tables(endpoints)
