"""Steps at which a test lets the process die as `kill -9` would: `FEEFIFOD_CRASH_AT=renamed`, or `renamed:3`.

Without that variable a step costs one look at a constant. A new step of the work gets its own points here, and
`tests/promises/test_failpoints.py` then fails until it knows how to reach them.
"""

from __future__ import annotations

import os
from enum import StrEnum
from itertools import count
from typing import Final

VARIABLE: Final = "FEEFIFOD_CRASH_AT"
EXIT_CODE: Final = 137
"""What a shell calls the end by SIGKILL."""


class Step(StrEnum):
    """A point in the life of a file. `-ing` is just before something that lasts, `-ed` just after it."""

    TABLE_MADE = "table-made"
    REGISTERING = "registering"
    REGISTERED = "registered"
    CLAIMING = "claiming"
    CLAIMED = "claimed"
    HASHING = "hashing"
    HASHED = "hashed"
    ORDERED = "ordered"
    ASSETS_MADE = "assets-made"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    SENDING = "sending"
    PARQUET_WRITTEN = "parquet-written"
    INSERTED = "inserted"
    ACKNOWLEDGED = "acknowledged"
    CHECKPOINTED = "checkpointed"
    PROVING = "proving"
    APPLIED = "applied"
    PROVED = "proved"
    RECORDED = "recorded"
    NAME_REFUSED = "name-refused"
    DECIDING = "deciding"
    DECIDED = "decided"
    ROWS_KEPT = "rows-kept"
    REASON_WRITTEN = "reason-written"
    RENAMING = "renaming"
    RESERVED = "reserved"
    RENAMED = "renamed"
    COPIED = "copied"
    LINKED = "linked"
    SOURCE_REMOVED = "source-removed"
    DELETING = "deleting"
    DELETED = "deleted"
    COPIES_DELETED = "copies-deleted"
    SYNCED = "synced"
    FINISHED = "finished"
    CLOSED = "closed"
    ZIP_CLAIMED = "zip-claimed"
    ZIP_HASHED = "zip-hashed"
    MEMBER_UNPACKED = "member-unpacked"
    ZIP_UNPACKED = "zip-unpacked"
    ZIP_DECIDED = "zip-decided"
    SCRATCH_CLEARED = "scratch-cleared"
    COPY_BEGUN = "copy-begun"
    COPY_MADE = "copy-made"
    COPY_AIMED = "copy-aimed"
    COPY_INSERTED = "copy-inserted"
    COPY_PROVED = "copy-proved"
    COPY_FLUSHED = "copy-flushed"
    COPY_SWAPPING = "copy-swapping"
    COPY_SET_ASIDE = "copy-set-aside"
    COPY_RENAMED = "copy-renamed"
    COPY_BOUND = "copy-bound"
    COPY_DROPPED = "copy-dropped"
    COPY_FINISHED = "copy-finished"


def _read(text: str) -> tuple[Step, int] | None:
    name, _, number = text.partition(":")
    return (Step(name), int(number or 1)) if text else None


_CRASH_AT: Final = _read(os.environ.get(VARIABLE, ""))
_passings: Final = count(1)


def reach(step: Step) -> None:
    """End the process here if it was told to, without any cleaning up."""
    if _CRASH_AT is not None and _CRASH_AT[0] is step and next(_passings) == _CRASH_AT[1]:
        os._exit(EXIT_CODE)
