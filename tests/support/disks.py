"""Small disks that a test may fill to the last byte."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

MIB: Final = 1024 * 1024
_NAME: Final = "filler"


@contextmanager
def small_disk(folder: Path, size: int, *, image: Path | None = None) -> Iterator[Path]:
    """Mount a disk of so many bytes: in memory, or an ext4 in the file `image`. Skips where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    if image is None:
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "feefifod-test", str(folder))
    else:
        with image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-m", "0", str(image))
        _run("mount", "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip(f"there is no {command[0]} here")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{command[0]} is not allowed here: {error.stderr.decode(errors='replace').strip()}")


def fill(disk: Path, *, spare: int = 0) -> None:
    """Take all room of a disk but about `spare` bytes; nothing is written, so it is quick."""
    with (disk / _NAME).open("wb", buffering=0) as file:
        size, piece = 0, 256 * MIB
        while piece >= 4096:
            try:
                os.posix_fallocate(file.fileno(), size, piece)
                size += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2
        file.truncate(max(size - spare, 0))


def free(disk: Path) -> None:
    """Give the room back."""
    (disk / _NAME).unlink()
