"""A compressed file that is cut off anywhere is seen to be, without decompressing it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pyarrow
import pytest

from feefifod.discover.frames import is_cut_off

NOISE = random.Random(3).randbytes(400_000)


def compress(content: bytes) -> bytes:
    packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return packed


def streamed(content: bytes, path: Path) -> bytes:
    """Compress as retention does, which does not know the size beforehand."""
    with pyarrow.CompressedOutputStream(str(path), "zstd") as stream:
        stream.write(content)
    return path.read_bytes()


def judge(content: bytes, path: Path) -> bool:
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_cut_off(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 300_000, NOISE, NOISE[:1000] * 400], ids=len)
def test_whole_files_are_whole_and_all_shorter_ones_are_cut_off(tmp_path: Path, content: bytes) -> None:
    for packed in (compress(content), streamed(content, tmp_path / "a"), compress(content) + compress(b"more")):
        assert not judge(packed, tmp_path / "b")
        ends = {*range(1, min(len(packed), 40)), *range(max(1, len(packed) - 12), len(packed))}
        whole = {len(compress(content))}
        assert [end for end in ends - whole if not judge(packed[:end], tmp_path / "b")] == []


def test_checksums_and_skippable_frames_are_counted(tmp_path: Path) -> None:
    frame = b"\x28\xb5\x2f\xfd\x24\x01\x09\x00\x00x" + bytes(4)
    note = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    for packed in (frame, note + frame, frame + note):
        assert not judge(packed, tmp_path / "x")
        assert judge(packed[:-1], tmp_path / "x")


@pytest.mark.parametrize("content", [b"1700006400,1,1,1,1,1,1\n", bytes(100), b"\x28\xb5\x2f\xfd" + bytes(1_000_000)])
def test_what_is_no_compressed_file_takes_no_time(tmp_path: Path, content: bytes) -> None:
    judge(content, tmp_path / "x")
