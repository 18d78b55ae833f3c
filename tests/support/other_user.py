"""Being a user without rights for a while: root may do everything, and the tests often run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

NOBODY: Final = 65534


@contextmanager
def other_user() -> Iterator[None]:
    """Be one within this block, if we are root; else stay who we are, who has no more rights."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that all users may enter, which those of pytest are not."""
    with TemporaryDirectory(prefix="feefifod-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
