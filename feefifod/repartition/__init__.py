"""The table copied into another partitioning, and what everybody else does meanwhile."""

from __future__ import annotations

from feefifod.repartition.copy import copy_table
from feefifod.repartition.guard import forget_copy, provide_table, settle_swap, use_table
from feefifod.repartition.report import CopyReport, Listener, SilentListener
from feefifod.repartition.room import Room, measure_room

__all__ = [
    "CopyReport",
    "Listener",
    "Room",
    "SilentListener",
    "copy_table",
    "forget_copy",
    "measure_room",
    "provide_table",
    "settle_swap",
    "use_table",
]
