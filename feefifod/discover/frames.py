"""Whether a compressed file is all there, seen by its frames (RFC 8878) without decompressing it."""

from __future__ import annotations

import os
from typing import Final

_FRAME: Final = 0xFD2FB528
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_LENGTHS_OF_ID: Final = (0, 1, 2, 4)
_LENGTHS_OF_SIZE: Final = (0, 2, 4, 8)
_RLE: Final = 1
_MOST_STEPS: Final = 200_000
"""Blocks of 128 KiB of a file far larger than any; what is made of tiny ones is judged when it is read."""


def is_cut_off(fd: int) -> bool:
    """Tell whether an open .zst file ends before its last frame does. What is no such file at all is not cut off."""
    size = os.fstat(fd).st_size
    offset = steps = 0
    while offset < size and steps < _MOST_STEPS:
        steps += 1
        magic = _read(fd, offset, 4)
        if magic in _SKIPPABLE:
            offset += 8 + _read(fd, offset + 4, 4)
            continue
        if magic != _FRAME:
            return size - offset < 4  # It may be the beginning of one.
        flags = _read(fd, offset + 4, 1)
        single = bool(flags & 0x20)
        offset += 5 + (not single) + _LENGTHS_OF_ID[flags & 3] + (_LENGTHS_OF_SIZE[flags >> 6] or single)
        last = False
        while not last and offset < size and steps < _MOST_STEPS:
            steps += 1
            block = _read(fd, offset, 3)
            last = bool(block & 1)
            offset += 3 + (1 if block >> 1 & 3 == _RLE else block >> 3)
        offset += 4 if flags & 4 else 0
        if not last and offset >= size:
            return True
    return offset > size


def _read(fd: int, offset: int, length: int) -> int:
    return int.from_bytes(os.pread(fd, length, offset), "little")
