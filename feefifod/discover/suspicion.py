"""What makes a member of a zip suspicious, and a zip refused as a whole."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from feefifod.errors import BadInput
from feefifod.parse.line import escape

MOST_MEMBER_BYTES: Final = 2 * 1024**3
MOST_RATIO: Final = 100
"""Candles shrink to a third; what shrinks to a hundredth is made to fill disks."""
_FREE_RATIO_BYTES: Final = 1024 * 1024
_LONGEST_NAME: Final = 200
LOCAL_HEADER_BYTES: Final = 30
_ENCRYPTED: Final = 0x1 | 0x40
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHER_METHODS: Final = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64, as Windows does above 2 GiB",
    12: "bzip2",
    14: "LZMA",
    20: "zstd",
    93: "zstd",
    95: "XZ",
    98: "PPMd",
}
_AES: Final = 99


def find_suspicion(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Say what is wrong with a member, and what can be done about it; None when nothing is wrong."""
    name, size, packed = info.orig_filename, info.file_size, info.compress_size
    path = PurePosixPath(name.replace("\\", "/"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    strange = any(ord(letter) < 32 or letter == "\x7f" for letter in name)
    elsewhere = path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive != ""
    by_backslashes = "has a name with backslashes that " if "\\" in name else ""
    again, deflate = "Pack it again without a password", "Pack it again with Deflate, as zip -r or ditto -c -k does"
    suspicions = (
        (not path.parts or strange, "has no name, or one with control characters", ""),
        (elsewhere, f"{by_backslashes}would be unpacked elsewhere", ""),
        (len(path.name.encode()) > _LONGEST_NAME, f"has a name of over {_LONGEST_NAME} bytes", ""),
        (info.flag_bits & _ENCRYPTED, "is encrypted", again),
        (info.compress_type == _AES, f"is encrypted (AES, method {_AES})", again),
        (kind not in {0, stat.S_IFREG, stat.S_IFDIR}, "is a link or a device", ""),
        (info.compress_type not in _METHODS, f"is compressed by {_name_method(info.compress_type)}", deflate),
        (size > MOST_MEMBER_BYTES, f"unpacks to {size} bytes, and {MOST_MEMBER_BYTES} are the most", ""),
        (size > max(_FREE_RATIO_BYTES, packed * MOST_RATIO), f"unpacks to {size} bytes from {packed}", ""),
    )
    return next(((why, remedy) for suspicious, why, remedy in suspicions if suspicious), None)


def _name_method(number: int) -> str:
    named = f"{_OTHER_METHODS[number]} (method {number})" if number in _OTHER_METHODS else f"method {number}"
    return f"{named}, which is not read here"


def check_overlaps(infos: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes: so a small zip unpacks to a huge one (CVE-2024-0450).

    Raises:
        BadInput: some do, or one lies outside of the zip.
    """
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [*(info.header_offset for info in ordered), end]
    for info, next_start in zip(ordered, starts[1:], strict=True):
        least = LOCAL_HEADER_BYTES + len(info.orig_filename) + info.compress_size
        if info.header_offset < 0 or info.header_offset + least > next_start:
            raise BadInput(f"its member {show_member(info.orig_filename)} overlaps with what comes after it")


def show_member(name: str) -> str:
    return escape(name.encode("utf-8", "surrogateescape"))[:_LONGEST_NAME]
