"""From a batch of files to windows of rows in the order of time."""

from feefifod.sweep.memory import keep_freed_memory
from feefifod.sweep.order import Ordered, order_file
from feefifod.sweep.run import FileChanged, Irregular, SweepFile, Unreadable
from feefifod.sweep.sweep import Slab, Sweep, Tally, Window

__all__ = [
    "FileChanged",
    "Irregular",
    "Ordered",
    "Slab",
    "Sweep",
    "SweepFile",
    "Tally",
    "Unreadable",
    "Window",
    "keep_freed_memory",
    "order_file",
]
