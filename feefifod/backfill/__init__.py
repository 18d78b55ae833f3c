"""Price history from the APIs into the table, on command and on schedule."""

from feefifod.backfill.outline import Outline, make_outline
from feefifod.backfill.report import AssetResult, Listener, Preview, Report, SilentListener
from feefifod.backfill.request import Request, request_of
from feefifod.backfill.run import run_backfill
from feefifod.backfill.schedules import (
    ScheduleRun,
    ScheduleStatus,
    list_results,
    pick_schedules,
    run_due,
    run_named,
    run_schedules,
)
from feefifod.backfill.tools import Tools, open_backfill

__all__ = [
    "AssetResult",
    "Listener",
    "Outline",
    "Preview",
    "Report",
    "Request",
    "ScheduleRun",
    "ScheduleStatus",
    "SilentListener",
    "Tools",
    "list_results",
    "make_outline",
    "open_backfill",
    "pick_schedules",
    "request_of",
    "run_backfill",
    "run_due",
    "run_named",
    "run_schedules",
]
