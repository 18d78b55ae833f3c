"""Zips as Kraken's archive has them, and zips that nobody should trust."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def pack(members: Mapping[str, bytes], *, stored: bool = False) -> bytes:
    """Pack members into a zip."""
    target = io.BytesIO()
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def split(content: bytes, parts: int) -> list[bytes]:
    """Cut a zip into parts."""
    size = -(-len(content) // parts)
    return [content[start : start + size] for start in range(0, len(content), size)]


def manifest(files: int, rows: int) -> bytes:
    """Make the MANIFEST.json of a quarterly zip."""
    return json.dumps(
        {
            "product": "ohlcvt",
            "schema_version": 1,
            "release": "r1",
            "columns": ["timestamp", "open", "high", "low", "close", "volume", "trades"],
            "has_header": False,
            "coverage": {"start": "2026-04-01", "end": "2026-06-30"},
            "pairs": files,
            "files": files,
            "rows": rows,
            "generated": "2026-08-17",
        }
    ).encode()


@dataclass(frozen=True)
class Entry:
    """A member that says of itself what it likes.

    Attributes:
        packed: compressed bytes that it claims; reach: how many more than there are.
        local: the name in its own header, where it is another than in the central directory.
        shared: its header lies directly before the next one, and all share the bytes of the last.
    """

    name: str
    data: bytes
    method: int | None = None
    size: int | None = None
    crc: int | None = None
    packed: int | None = None
    flags: int = 0
    mode: int = stat.S_IFREG | 0o644
    local: str | None = None
    shared: bool = False
    reach: int = 0


def build(entries: Sequence[Entry], *, times: int = 1) -> bytes:
    """Write a zip byte by byte; `times` repeats the central directory."""
    body = bytearray()
    directory = bytearray()
    for place, entry in enumerate(entries):
        method, data = entry.method, entry.data
        if method is None and entry.size is None:
            method, data = zipfile.ZIP_DEFLATED, zlib.compress(entry.data, 9)[2:-4]
        method = zipfile.ZIP_DEFLATED if method is None else method
        size = len(entry.data) if entry.size is None else entry.size
        packed = (len(data) if entry.packed is None else entry.packed) + entry.reach
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        name, local = entry.name.encode(), (entry.local or entry.name).encode()
        facts = struct.pack("<HHHHHLLL", 20, entry.flags, method, 0, 0x21, crc, packed, size)
        start = len(body)
        body += b"PK\3\4" + facts + struct.pack("<HH", len(local), 0) + local
        if not entry.shared or place == len(entries) - 1:
            body += data
        directory += b"PK\1\2" + struct.pack("<H", 3 << 8 | 20) + facts
        directory += struct.pack("<HHHHHLL", len(name), 0, 0, 0, 0, entry.mode << 16, start) + name
    directory *= times
    count = min(len(entries) * times, 0xFFFF)
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory) + end
