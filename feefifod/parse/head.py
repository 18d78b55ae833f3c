"""What the first bytes of a file say about the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from feefifod.errors import BadInput
from feefifod.model import Series
from feefifod.parse.header import Layout, looks_like_header, read_header

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


@dataclass(frozen=True, slots=True)
class Head:
    """How a file begins.

    Attributes:
        data_start: offset of the first byte after a byte order mark and a header line.
        fields: 6 without trade counts, else 7: as the header says, or the first data row.
        header: whether there is a header line.
        crlf: whether the first line that is not blank ends in CRLF.
        layout: what the header says; None without one, for Kraken's own order.
        header_line: the number of the header, from 1. header_text: what it says, without what ends the line.
    """

    data_start: int
    fields: Literal[6, 7]
    header: bool
    crlf: bool
    layout: Layout | None = field(default=None, compare=False)
    header_line: int = field(default=0, compare=False)
    header_text: bytes = field(default=b"", compare=False)

    @property
    def irregular(self) -> bool:
        """Whether the file cannot be swept as it is: not seven fields in Kraken's order."""
        return self.fields == 6 or (self.layout is not None and not self.layout.in_order)


def inspect_head(head: bytes, series: Series | None = None) -> Head:
    """Look at the beginning of a file: all of it, or at least its first 16 KiB.

    A header is a first line of names, none of them like a number; anything else is left to be refused as a row, so that
    it cannot vanish.

    Args:
        series: what the file's name says.

    Raises:
        BadInput: it is not text, or its header cannot be understood.
    """
    for magic, what, remedy in _NOT_TEXT:
        if head.startswith(magic):
            raise BadInput(f"not text: {what}", remedy=remedy)
    if b"\0" in head:
        raise BadInput("not text: NUL bytes in it", remedy=_RESAVE)
    start = len(_BOM) if head.startswith(_BOM) else 0
    first, after_first = _find_line(head, start)
    if not looks_like_header(first, among_rows=False):
        return Head(start, 6 if first.count(b",") == 5 else 7, header=False, crlf=first.endswith(b"\r\n"))
    line = head.count(b"\n", 0, after_first - 1) + 1
    layout = read_header(first, line, series)
    return Head(
        data_start=after_first,
        fields=7 if len(layout.places) == 7 else 6,
        header=True,
        crlf=first.endswith(b"\r\n"),
        layout=layout,
        header_line=line,
        header_text=first.rstrip(b"\r\n"),
    )


def _find_line(head: bytes, start: int) -> tuple[bytes, int]:
    """Give the next line that is not blank, with its newline, and where it ends."""
    while start < len(head):
        end = head.find(b"\n", start) + 1 or len(head)
        if head[start:end].strip():
            return head[start:end], end
        start = end
    return b"", start
