"""Refused files and rows, kept with their reasons."""

from __future__ import annotations

import csv
import errno
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import aiofiles
import aiofiles.os
from anyio import to_thread

from feefifod.archive.durability import sync_file
from feefifod.archive.move import move_file
from feefifod.archive.wrapping import ROWS_HEADER
from feefifod.errors import Unavailable
from feefifod.failpoint import Step, reach
from feefifod.parse.names import REASON_SUFFIX, ROWS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feefifod.parse.rows import Reject

HEADER_NOTE: Final = "not refused: the header, which names the columns of the rows below"
_MOST_ROWS_BYTES: Final = 256 * 1024 * 1024


class RejectedRows:
    """Collects the bad rows of one file in scratch space: line number, reason, text.

    Where a header names the columns of these rows, it stands above them, so that they mean the same when they are
    taken in again. What exceeds 256 MiB is only counted: the file itself, kept in `ingested/`, still has the text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._full = False
        self._header: tuple[int, str] | None = None
        self.count = 0

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            Unavailable: scratch space cannot be written; so does whatever follows.
        """
        with self._writing():
            self._file = self.path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(ROWS_HEADER)
        return self

    def __exit__(self, *_: object) -> None:
        """Make them durable; without any row nothing is left."""
        with self._writing(), self._file:
            self._file.flush()
            sync_file(self._file.fileno())
        if not self.count:
            self.path.unlink()

    def add(self, rejects: list[Reject]) -> None:
        """Keep these rows."""
        self.count += len(rejects)
        if self._full:
            return
        with self._writing():
            for reject in rejects:
                if reject.header not in (None, self._header):
                    self._header = reject.header
                    self._writer.writerow((self._header[0], HEADER_NOTE, self._header[1]))
                self._writer.writerow((reject.line, reject.reason, reject.text))
            if self._file.tell() > _MOST_ROWS_BYTES:
                self._full = True
                self._writer.writerow(("", "more rows were refused; see the file itself", ""))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"scratch space cannot be written: {error.strerror}",
                where=str(self.path.parent),
                remedy="Free some space there; it goes on by itself",
            ) from error


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is refused.

    Attributes:
        reason: one sentence. facts: more for the reader of `NAME.reason.json`.
        rows: its bad rows, collected in scratch space, or None.
    """

    reason: str
    facts: dict[str, object]
    rows: Path | None = None


async def keep_rows(rows: Path, folder: Path, name: str) -> Path:
    """Move collected rows to `folder/NAME.rows.csv`."""
    return await move_file(str(rows), folder, name + ROWS_SUFFIX)


async def reject_file(source: str, folder: Path, name: str, refusal: Refusal) -> Path:
    """Move a refused file to `folder/NAME`, `NAME.reason.json` beside it; returns where it is now.

    The reason is there before the file is, so that no crash leaves a refused file without one.

    Raises:
        FileNotFoundError, Unavailable: as `move_file`.
    """
    document = {
        "file": name,
        "reason": refusal.reason,
        "rejected_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **refusal.facts,
    }

    async def write_reason(target: Path) -> None:
        partial = target.with_name(f".{target.name}{REASON_SUFFIX}.part")
        async with aiofiles.open(partial, "w", encoding="utf-8") as file:
            await file.write(json.dumps({**document, "file": target.name}, indent=2) + "\n")
            await file.flush()
            await to_thread.run_sync(sync_file, file.fileno())
        await aiofiles.os.replace(partial, f"{target}{REASON_SUFFIX}")
        if refusal.rows is not None:
            await to_thread.run_sync(_replace, refusal.rows, target.with_name(target.name + ROWS_SUFFIX))
        reach(Step.REASON_WRITTEN)

    return await move_file(source, folder, name, before=write_reason)


def _replace(source: Path, target: Path) -> None:
    """Move a file over `target`, also from another file system; a crash in between is cured by doing it again."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        draft = target.with_name(f".{target.name}.part")
        with source.open("rb") as reader, draft.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            sync_file(writer.fileno())
        draft.replace(target)
        source.unlink()
