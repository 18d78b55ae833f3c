"""Memory that one window leaves is taken again for the next."""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

# See mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_KEPT_BYTES: Final = 512 * 1024 * 1024
_LARGEST_BYTES: Final = 1024 * 1024 * 1024


def keep_freed_memory() -> None:
    """Let this process keep what it frees, in one heap for all threads and for Arrow.

    A window comes and goes in arrays of megabytes. By default the C library gives each of them back to the kernel,
    which then has to clear new pages for the next, and every thread piles up a heap of its own. Other C libraries than
    glibc are left as they are.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    set_option(_M_ARENA_MAX, 1)
    set_option(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
    set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
