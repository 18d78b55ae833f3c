"""The servers, pools and lanes that a command works with, opened and closed together."""

from __future__ import annotations

import contextlib
import os
import resource
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

from feefifod.catalog import Assets, Database, Ledger, TableBusy, open_database
from feefifod.catalog.verification import Claims
from feefifod.config import pick_database
from feefifod.errors import Refused
from feefifod.ingest.leftovers import clear_leftovers
from feefifod.ingest.tools import Tools
from feefifod.log import register_secret
from feefifod.patience import Trouble
from feefifod.repartition import settle_swap
from feefifod.servers import use_servers
from feefifod.sink import BulkLane, IlpLane, QuestDBClient
from feefifod.sweep import keep_freed_memory
from feefifod.verify import Kit
from feefifod.verify.report import SilentListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from feefifod.backfill.tools import Tools as BackfillTools
    from feefifod.config import QuestDBSettings, Settings
    from feefifod.ingest.report import Listener
    from feefifod.patience import OnTrouble
    from feefifod.servers import Servers
    from feefifod.verify import Listener as VerifyListener

_CLOSE_SECONDS: Final = 5.0
_SPARE_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class Services:
    """What is open. `database` is the name of the configured QuestDB; `questdb` also has what lets us into ours."""

    settings: Settings
    database: str
    questdb: QuestDBSettings
    client: QuestDBClient
    postgres: Database
    ledger: Ledger
    assets: Assets
    import_dir: Path | None


@asynccontextmanager
async def open_services(settings: Settings, database: str = "questdb") -> AsyncIterator[Services]:
    """Open what the configuration names; embedded servers are started when they do not run, and supervised.

    Raises:
        ConfigError: no such database, a busy port, or the extra [embedded] is missing.
        Unavailable, Refused: a server does not start or does not let us in.

    What a process that is gone has begun to rename is finished first.
    """
    questdb = pick_database(settings, database)
    postgres_url = settings.postgres.url.get_secret_value()
    async with AsyncExitStack() as stack:
        import_dir = Path(questdb.import_dir) if questdb.import_dir else None
        wanted = {"questdb": questdb.url == "embedded", "postgres": postgres_url == "embedded"}
        if any(wanted.values()):
            servers = await stack.enter_async_context(use_servers(settings.embedded, settings.paths.state, **wanted))
            if wanted["questdb"]:
                questdb, import_dir = servers.endpoints.admit(questdb), servers.endpoints.import_dir
            if wanted["postgres"]:
                postgres_url = servers.endpoints.postgres_dsn
                register_secret(postgres_url)
            await stack.enter_async_context(_supervised(servers))
        postgres = await stack.enter_async_context(open_database(postgres_url))
        client, ledger = QuestDBClient(questdb, questdb.url), Ledger(postgres)
        with contextlib.suppress(TableBusy):  # The process that renames lives; whoever needs the table waits for it.
            await settle_swap(client, questdb.table, ledger.copies)
        yield Services(settings, database, questdb, client, postgres, ledger, Assets(postgres), import_dir)


@asynccontextmanager
async def _supervised(servers: Servers) -> AsyncIterator[None]:
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(servers.supervise, name="supervise")
            yield
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # One error of the body must reach the caller as itself.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


@asynccontextmanager
async def open_tools(
    services: Services, listener: Listener, stop: anyio.Event, *, patience_seconds: float | None
) -> AsyncIterator[Tools]:
    """Open the lanes and put together what ingestion works with."""
    settings = services.settings
    keep_freed_memory()
    trouble = Trouble(patience_seconds, listener.trouble)
    ilp = IlpLane(services.client.url, services.questdb, on_trouble=trouble)
    bulk = await _find_bulk(services, trouble) if settings.pipeline.lane != "ilp" else None
    tools = Tools(
        paths=settings.paths,
        pipeline=settings.pipeline,
        watch=settings.watch,
        tiers=settings.tiers,
        database=services.database,
        questdb=services.questdb,
        client=services.client,
        ledger=services.ledger,
        assets=services.assets,
        ilp=ilp,
        bulk=bulk,
        listener=listener,
        reading=anyio.CapacityLimiter(settings.pipeline.workers),
        stop=stop,
        patience_seconds=patience_seconds,
        open_files=_count_open_files(),
    )
    _make_folders(tools)
    await to_thread.run_sync(clear_leftovers, tools.scratch)
    try:
        yield tools
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await ilp.close()
            if bulk is not None:
                await bulk.close()


def _make_folders(tools: Tools) -> None:
    """Make the folders that are missing.

    Raises:
        Refused: there is no working without the data folder or scratch space.
    """
    for folder, needed in ((tools.paths.data, True), (tools.scratch, True), (tools.ingested, False)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if needed:
                raise Refused(
                    f"a folder cannot be made: {error.strerror}",
                    where=str(folder),
                    remedy="Make it, or give feefifod the right to, or change [paths]",
                ) from error
            # The first file that has to go there says so; until then there is work that can be done.


def open_backfills(services: Services, *, patience_seconds: float | None) -> AbstractAsyncContextManager[BackfillTools]:
    """Open what backfills work with."""
    # Its HTTP client takes a fifth of a second to import, which a command that only ingests need not wait for.
    from feefifod.backfill.tools import open_backfill  # noqa: PLC0415

    return open_backfill(
        sources=services.settings.sources,
        questdb=services.questdb,
        client=services.client,
        postgres=services.postgres,
        environ=os.environ,
        patience_seconds=patience_seconds,
    )


@asynccontextmanager
async def open_verification(
    services: Services, *, patience_seconds: float | None, listener: VerifyListener | None = None
) -> AsyncIterator[Kit]:
    """Open what verification works with."""
    settings = services.settings
    lane = IlpLane(services.client.url, services.questdb, on_trouble=Trouble(patience_seconds))
    try:
        yield Kit(
            paths=settings.paths,
            pipeline=settings.pipeline,
            tiers=settings.tiers,
            questdb=services.questdb,
            client=services.client,
            claims=Claims(services.postgres),
            copies=services.ledger.copies,
            assets=services.assets,
            lane=lane,
            patience_seconds=patience_seconds,
            listener=listener or SilentListener(),
        )
    finally:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CLOSE_SECONDS):
            await lane.close()


async def _find_bulk(services: Services, trouble: OnTrouble) -> BulkLane | None:
    if services.import_dir is None:
        return None
    lane = BulkLane(services.client, services.questdb.table, services.import_dir, on_trouble=trouble)
    reason = await lane.probe()
    if reason is not None:
        structlog.get_logger().warning("bulk_lane_off", reason=reason)
        return None
    await lane.clean()
    return lane


def _count_open_files() -> int:
    """Return how many files of a batch may stay open at once, after asking for as many as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass
    return max(min(soft, 65_536) - 2 * _SPARE_FILES, _SPARE_FILES // 2)
