"""What killed processes leave in scratch space, and what becomes of it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_OWNED: Final = re.compile(r"(batch|verify)-(?P<pid>\d+)-[0-9a-f]+")


def clear_leftovers(scratch: Path) -> None:
    """Remove the scratch folders of processes that are gone. Blocking.

    All that is worth keeping is in the ledger and in the data folder; whoever goes on makes its own.
    """
    for folder in scratch.iterdir():
        owner = _OWNED.fullmatch(folder.name)
        if owner and not psutil.pid_exists(int(owner["pid"])):
            shutil.rmtree(folder, ignore_errors=True)
