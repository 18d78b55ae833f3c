"""What all tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Thousands of partition folders are slow on a disk that others use too; memory is enough for all tests together.
_MEMORY = Path("/dev/shm")
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 8 * 2**30:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)
