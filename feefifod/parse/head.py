"""What the first bytes of a file say about the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from feefifod.errors import BadInput
from feefifod.parse.line import MAX_LINE_BYTES

_BOM: Final = b"\xef\xbb\xbf"
_RESAVE: Final = "Save it as plain text in UTF-8"
_UNPACK: Final = "Unpack it, and drop what was in it"
_NOT_TEXT: Final = (
    (b"\x1f\x8b", "gzip", _UNPACK),
    (b"PK\x03\x04", "a zip without the ending .zip", "Name it .zip"),
    (b"PK\x05\x06", "an empty zip", ""),
    (b"\xff\xfe\x00\x00", "UTF-32", _RESAVE),
    (b"\x00\x00\xfe\xff", "UTF-32", _RESAVE),
    (b"\xff\xfe", "UTF-16", _RESAVE),
    (b"\xfe\xff", "UTF-16", _RESAVE),
)

# More than `line` calls a number, so that a bad first row is refused as a row, never skipped as a header.
_LIKE_A_NUMBER: Final = re.compile(
    rb"""[\s"']*(?:[+-]?\.?[0-9]|[+-]?(?:nan|inf|infinity|null|none|n/?a)[\s"']*$)""", re.IGNORECASE
)
_LETTER: Final = re.compile(rb"[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Head:
    """How a file begins.

    Attributes:
        data_start: offset of the first byte after a byte order mark and a header line.
        fields: of the first data row: 6 when it has six, else 7.
        header: whether there is a header line.
        crlf: whether the first line that is not blank ends in CRLF.
    """

    data_start: int
    fields: Literal[6, 7]
    header: bool
    crlf: bool


def inspect_head(head: bytes) -> Head:
    """Look at the beginning of a file: all of it, or at least its first 16 KiB.

    A header is a first line of six or seven names, none of them like a number; anything else is left to be refused as a
    row, so that it cannot vanish.

    Raises:
        BadInput: it is not text.
    """
    for magic, what, remedy in _NOT_TEXT:
        if head.startswith(magic):
            raise BadInput(f"not text: {what}", remedy=remedy)
    if b"\0" in head:
        raise BadInput("not text: NUL bytes in it", remedy=_RESAVE)
    start = len(_BOM) if head.startswith(_BOM) else 0
    first, after_first = _find_line(head, start)
    header = _is_header(first)
    row = _find_line(head, after_first)[0] if header else first
    return Head(
        data_start=after_first if header else start,
        fields=6 if row.count(b",") == 5 else 7,
        header=header,
        crlf=first.endswith(b"\r\n"),
    )


def _find_line(head: bytes, start: int) -> tuple[bytes, int]:
    """Give the next line that is not blank, with its newline, and where it ends."""
    while start < len(head):
        end = head.find(b"\n", start) + 1 or len(head)
        if head[start:end].strip():
            return head[start:end], end
        start = end
    return b"", start


def _is_header(line: bytes) -> bool:
    names = line.rstrip(b"\r\n").split(b",")
    return (
        len(line) <= MAX_LINE_BYTES
        and len(names) in (6, 7)
        and all(_LETTER.search(name) and not _LIKE_A_NUMBER.match(name) for name in names)
    )
