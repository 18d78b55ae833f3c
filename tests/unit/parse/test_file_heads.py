"""The first bytes tell where the data begins and what it looks like."""

from __future__ import annotations

import gzip

import pytest

from feefifod.errors import BadInput
from feefifod.parse.head import Head, inspect_head

ROW = b"1381017600,122.0,122.0,122.0,122.0,0.1,1\n"
SIX = b"1381017600,122.0,122.0,122.0,122.0,0.1\n"
NAMES = b"timestamp,open,high,low,close,volume,trades\n"
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ROW * 2, Head(0, 7, header=False, crlf=False)),
        (SIX * 2, Head(0, 6, header=False, crlf=False)),
        (ROW.replace(b"\n", b"\r\n"), Head(0, 7, header=False, crlf=True)),
        (BOM + ROW, Head(3, 7, header=False, crlf=False)),
        (NAMES + ROW, Head(len(NAMES), 7, header=True, crlf=False)),
        (NAMES + b"\n" + SIX, Head(len(NAMES), 7, header=True, crlf=False)),
        (BOM + NAMES + ROW, Head(3 + len(NAMES), 7, header=True, crlf=False)),
        (b"\n\r\n" + NAMES + ROW, Head(3 + len(NAMES), 7, header=True, crlf=False)),
        (NAMES.strip(), Head(len(NAMES) - 1, 7, header=True, crlf=False)),
        (b'"time","open","high","low","close","volume"\n' + SIX, Head(44, 6, header=True, crlf=False)),
        (b"#time,Open,HIGH, low ,close,vol.\n" + SIX, Head(33, 6, header=True, crlf=False)),
        (b"", Head(0, 7, header=False, crlf=False)),
        (b"\r\n\n", Head(0, 7, header=False, crlf=False)),
        (BOM, Head(3, 7, header=False, crlf=False)),
    ],
)
def test_heads(head: bytes, expected: Head) -> None:
    assert inspect_head(head) == expected


@pytest.mark.parametrize(
    "line",
    [
        b" 1381017600 ,a,b,c,d,e,f\n",
        b"a,b,c,d,e,f,-5\n",
        b"a,b,c,d,e,f,.5\n",
        b"nan,nan,nan,nan,nan,nan,nan\n",
        b",,,,,,\n",
        "\uff11\uff13\uff18,\uff11,\uff11,\uff11,\uff11,\uff11,\uff11\n".encode(),
        b"<html>Service unavailable, try later</html>\n",
        b"hello\n",
        b"a,b,c,d,e,f," + b"g" * 5000 + b"\n",
    ],
)
def test_a_first_line_that_could_be_a_row_is_never_skipped(line: bytes) -> None:
    head = inspect_head(line + ROW)

    assert (head.data_start, head.header) == (0, False)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (ROW.decode().encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + ROW.decode().encode("utf-16-be"), "UTF-16"),
        (ROW.decode().encode("utf-16-le"), "NUL"),
        (ROW.decode().encode("utf-32"), "UTF-32"),
        (b"\x00\x00\xfe\xff" + ROW.decode().encode("utf-32-be"), "UTF-32"),
        (ROW + b"\0" * 10, "NUL"),
        (gzip.compress(ROW, mtime=0), "gzip"),
        (b"PK\x03\x04rest", "zip"),
        (b"PK\x05\x06rest", "zip"),
    ],
)
def test_what_is_not_text_is_refused_as_a_whole(head: bytes, why: str) -> None:
    with pytest.raises(BadInput, match="not text: ") as caught:
        inspect_head(head)

    assert why in caught.value.why
