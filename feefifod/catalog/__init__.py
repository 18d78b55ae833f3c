"""PostgreSQL: assets, the ledger of files, and the runs of backfills. The home of asyncpg."""

from feefifod.catalog.access import TableAccess, TableBusy
from feefifod.catalog.assets import AssetChange, Assets, NewAsset
from feefifod.catalog.copies import TableCopies, TableCopy
from feefifod.catalog.database import (
    Database,
    NotSetUp,
    OtherSchema,
    check_schema,
    connect_database,
    look_at_database,
    open_database,
)
from feefifod.catalog.lease import LeaseLost
from feefifod.catalog.ledger import Ledger
from feefifod.catalog.marks import Mark, Marks
from feefifod.catalog.owner import Owner
from feefifod.catalog.pacer import SharedPacer
from feefifod.catalog.records import BadName, Claim, ClaimedFile, Drop, Ending, FileRecord, Loaded, Move
from feefifod.catalog.runs import (
    SCHEDULE_LEASE_SECONDS,
    RunCounts,
    RunOutcome,
    RunRecord,
    Runs,
    ScheduleClaim,
    ScheduleClaims,
    ScheduleState,
    SplitBasis,
)
from feefifod.catalog.zips import MemberRecord, ZipClaim, ZipLedger, ZipRecord

__all__ = [
    "SCHEDULE_LEASE_SECONDS",
    "AssetChange",
    "Assets",
    "BadName",
    "Claim",
    "ClaimedFile",
    "Database",
    "Drop",
    "Ending",
    "FileRecord",
    "LeaseLost",
    "Ledger",
    "Loaded",
    "Mark",
    "Marks",
    "MemberRecord",
    "Move",
    "NewAsset",
    "NotSetUp",
    "OtherSchema",
    "Owner",
    "RunCounts",
    "RunOutcome",
    "RunRecord",
    "Runs",
    "ScheduleClaim",
    "ScheduleClaims",
    "ScheduleState",
    "SharedPacer",
    "SplitBasis",
    "TableAccess",
    "TableBusy",
    "TableCopies",
    "TableCopy",
    "ZipClaim",
    "ZipLedger",
    "ZipRecord",
    "check_schema",
    "connect_database",
    "look_at_database",
    "open_database",
]
