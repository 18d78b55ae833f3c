"""Retention once a day, whoever comes first: a daemon, or a command that runs now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import structlog

from feefifod.catalog.retention import Retention
from feefifod.daemon.services import open_verification
from feefifod.errors import FeefifodError
from feefifod.lasting import tell_end, tell_fault
from feefifod.retention import apply_retention
from feefifod.sink import read_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from feefifod.config import RetentionSettings, Settings
    from feefifod.daemon.services import Services
    from feefifod.retention import Report

_CHECK_SECONDS: Final = 3600.0


async def keep_up(services: Services, current: Callable[[], Settings]) -> None:
    """Look every hour whether the day's turn is still to be taken; until cancelled. Trouble is logged.

    Args:
        current: returns the settings as they are after the last reload.
    """
    while True:
        try:
            await apply_daily(services, current().retention, patience_seconds=None)
            tell_end("retention_failed", "retention")
        except FeefifodError as error:
            tell_fault("retention_failed", "retention", error.why, where=error.where, remedy=error.remedy)
        except Exception:
            # Whatever is wrong with old files must not stop new ones.
            structlog.get_logger().exception("retention_failed")
        await anyio.sleep(_CHECK_SECONDS)


async def apply_daily(
    services: Services, settings: RetentionSettings, *, patience_seconds: float | None
) -> Report | None:
    """Apply retention when it is on, there is a table, and nobody has done it today; None otherwise.

    Raises:
        Refused: as `apply_retention`.
    """
    if settings.off:
        return None
    identity = await read_identity(services.client, services.questdb.table)
    if identity is None or not await Retention(services.postgres).claim_day(str(identity)):
        return None
    return await apply_now(services, settings, patience_seconds=patience_seconds)


async def apply_now(
    services: Services, settings: RetentionSettings, *, patience_seconds: float | None, dry_run: bool = False
) -> Report:
    """Apply retention, whether it was done today or not.

    Raises:
        Refused: as `apply_retention`.
    """
    async with open_verification(services, patience_seconds=patience_seconds) as kit:
        return await apply_retention(kit, Retention(services.postgres), settings, dry_run=dry_run)
