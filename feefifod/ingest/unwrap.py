"""Taking off what is around the candles of claimed files, into scratch space, as many as the disk has room for."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from feefifod.archive import unwrap_file
from feefifod.catalog import ClaimedFile
from feefifod.discover import open_drop, stamp_of


@dataclass(slots=True)
class Unwrapper:
    """Unwraps files of one batch, from several threads. Half of the free disk at most: the other half is for the rows.

    Attributes:
        scratch: the batch's folder; it need not exist, and is the caller's to remove.
    """

    scratch: Path
    _left: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def unwrap(self, file: ClaimedFile) -> ClaimedFile:
        """Write what is inside of a file to scratch space, and describe it as if it had been dropped so.

        Raises:
            BadInput: as `unwrap_file`.
            FileNotFoundError: the file is gone or has changed.
            OSError: it cannot be read now; ENOSPC when there is no room for it beside the others.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        target = self.scratch / f"{file.id}.csv"
        fd = open_drop(os.fsdecode(file.path), file.stamp)
        try:
            unwrap_file(fd, file.wrapping, target, self._take)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        # Whether the file has changed meanwhile is asked again when its rows are in, as for any file.
        return replace(file, path=os.fsencode(target), stamp=stamp_of(target.stat()), wrapping="")

    def _take(self, size: int) -> None:
        with self._lock:
            if self._left is None:
                self._left = shutil.disk_usage(self.scratch).free // 2
            self._left -= size
            if self._left < 0:
                self._left += size
                raise OSError(errno.ENOSPC, "there is no room in scratch space to unpack it")
