"""What lies in the data folder, and whether it is complete. The home of watchfiles."""

from feefifod.discover.scan import Found, look_at, open_drop, scan, stamp_of
from feefifod.discover.settle import Settlement, Settler, explain_unreadable
from feefifod.discover.watch import Waker

__all__ = [
    "Found",
    "Settlement",
    "Settler",
    "Waker",
    "explain_unreadable",
    "look_at",
    "open_drop",
    "scan",
    "stamp_of",
]
