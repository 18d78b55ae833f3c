"""Proving again that the table holds what the ledger says, and mending it from the archive."""

from feefifod.verify.kit import Kit
from feefifod.verify.report import Difference, Kind, Listener, Report, RowCounts, Skipped
from feefifod.verify.verify import Proven, hold_table, verify, verify_recent, verify_series

__all__ = [
    "Difference",
    "Kind",
    "Kit",
    "Listener",
    "Proven",
    "Report",
    "RowCounts",
    "Skipped",
    "hold_table",
    "verify",
    "verify_recent",
    "verify_series",
]
