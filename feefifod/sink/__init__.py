"""Everything that speaks to QuestDB."""

from __future__ import annotations

from feefifod.sink.apply import Progress, Suspended, read_progress, resume_if_short, wait_applied
from feefifod.sink.bulk import BulkLane
from feefifod.sink.counts import SeriesCount, SeriesKey, count_one, count_series
from feefifod.sink.ilp import IlpLane
from feefifod.sink.lane import Lane, Receipt
from feefifod.sink.schema import (
    TableFacts,
    TableIdentity,
    describe_table,
    drop_table,
    ensure_table,
    read_ends,
    read_identity,
    read_server_id,
)
from feefifod.sink.sql import Answer, QuestDBClient
from feefifod.sink.steps import send_in_steps
from feefifod.sink.stored import StoredCandle, read_stored
from feefifod.sink.stream import RowStream, stream_query

__all__ = [
    "Answer",
    "BulkLane",
    "IlpLane",
    "Lane",
    "Progress",
    "QuestDBClient",
    "Receipt",
    "RowStream",
    "SeriesCount",
    "SeriesKey",
    "StoredCandle",
    "Suspended",
    "TableFacts",
    "TableIdentity",
    "count_one",
    "count_series",
    "describe_table",
    "drop_table",
    "ensure_table",
    "read_ends",
    "read_identity",
    "read_progress",
    "read_server_id",
    "read_stored",
    "resume_if_short",
    "send_in_steps",
    "stream_query",
    "wait_applied",
]
