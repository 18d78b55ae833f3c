"""`feefifod rejects`: refused files and rows, with their reasons."""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from feefifod.cli.console import make_console, print_json
from feefifod.cli.options import json_option
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feefifod.catalog.verification import RejectRecord
    from feefifod.config import Settings

_EXAMPLES: Final = 3
_COUNT_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reject:
    """A refused file, or the refused rows of a file that was loaded without them.

    Attributes:
        path: the file; or the list of rows, `NAME.rows.csv`.
        rows: the list of rows, if there is one.
        examples: its first rows: line, reason, text.
    """

    file: str
    state: str
    reason: str
    rows_rejected: int
    path: Path
    when: datetime
    rows: Path | None
    examples: tuple[tuple[str, str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object of `rejects --json`."""
        return {
            "file": self.file,
            "state": self.state,
            "reason": self.reason,
            "rows_rejected": self.rows_rejected,
            "path": os.fspath(self.path),
            "when": self.when.isoformat(timespec="seconds"),
            "rows": os.fspath(self.rows) if self.rows else None,
            "examples": [{"line": line, "reason": reason, "text": text} for line, reason, text in self.examples],
        }


@click.command()
@json_option
@click.pass_context
def rejects(ctx: click.Context, as_json: bool) -> None:
    """List refused files, and files that were loaded without their bad rows.

    Refused files lie in the rejected folder, each with its reason beside it; bad rows in NAME.rows.csv there, with
    line number, reason and text. Correct them in place, then: feefifod retry PATH. Starts no server.

    \b
    Example:
      feefifod rejects
      feefifod rejects --json
    """
    import anyio  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same

    settings = read_settings(ctx)
    records = anyio.run(_ask_ledger, settings)
    found = list_rejects(settings.paths.rejected, {record.moved_to: record for record in records})
    if as_json:
        print_json([reject.to_json() for reject in found])
    else:
        _show(found, settings)


async def _ask_ledger(settings: Settings) -> list[RejectRecord]:
    from feefifod.catalog import look_at_database  # noqa: PLC0415 - help must not wait for it
    from feefifod.catalog.verification import Claims  # noqa: PLC0415 - the same
    from feefifod.cli.reach import find_postgres  # noqa: PLC0415 - the same
    from feefifod.errors import FeefifodError  # noqa: PLC0415 - the same

    try:
        dsn = find_postgres(settings)
        if dsn is None:
            return []
        async with look_at_database(dsn) as database:
            return await Claims(database).read_rejected()
    except FeefifodError as error:
        click.echo(f"feefifod: the ledger was not asked: {error}", err=True)
        return []


def list_rejects(folder: Path, records: Mapping[bytes, RejectRecord]) -> list[Reject]:
    """List what lies in the rejected folder, the oldest first.

    Args:
        records: what the ledger knows of refused files, by their path there.
    """
    from feefifod.archive import REASON_SUFFIX, ROWS_SUFFIX  # noqa: PLC0415 - help must not wait for it
    from feefifod.discover import is_part  # noqa: PLC0415 - the same

    if not folder.is_dir():
        return []
    found: list[Reject] = []
    names = {entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)}
    for name in names:
        path = folder / name
        if name.startswith(".") or name.endswith(REASON_SUFFIX):
            continue
        if is_part(name) and name + REASON_SUFFIX not in names:
            continue  # The note on a split zip lies beside its first part.
        if name.endswith(ROWS_SUFFIX) and name + REASON_SUFFIX not in names:
            main = name.removesuffix(ROWS_SUFFIX)
            if main not in names:
                count, examples = _count_rows(path), _read_examples(path)
                reason = f"{count_of(count, 'row')} {'was' if count == 1 else 'were'} refused, the others are loaded"
                found.append(Reject(main, "done", reason, count, path, _changed(path), path, examples))
            continue
        rows = folder / (name + ROWS_SUFFIX)
        reason, count, when = _explain(path, records.get(os.fsencode(path)))
        has_rows = rows.name in names
        examples = _read_examples(rows) if has_rows else ()
        found.append(Reject(name, "rejected", reason, count, path, when, rows if has_rows else None, examples))
    return sorted(found, key=lambda reject: (reject.when, reject.file))


def _explain(path: Path, record: RejectRecord | None) -> tuple[str, int, datetime]:
    """Return why and when a file was refused, and how many bad rows it has: from the note beside it, or the ledger."""
    from feefifod.archive import REASON_SUFFIX  # noqa: PLC0415 - help must not wait for it

    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(Path(f"{path}{REASON_SUFFIX}").read_bytes())
        when = datetime.fromisoformat(note["rejected_at"])
        return str(note["reason"]), int(note.get("rows_rejected", 0)), when
    if record is not None:
        return record.reason, record.rows_rejected, record.finished_at or _changed(path)
    return "nothing is known of it: the note with its reason is gone", 0, _changed(path)


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def _count_rows(path: Path) -> int:
    from feefifod.archive import HEADER_NOTE  # noqa: PLC0415 - help must not wait for it

    with path.open("rb") as file:
        pieces = iter(lambda: file.read(_COUNT_BYTES), b"")
        # The header of the file itself is a row of the list, so that the rows below it keep their meaning.
        lines = sum(piece.count(b"\n") - piece.count(HEADER_NOTE.encode()) for piece in pieces)
    return max(lines - 1, 0)


def _read_examples(path: Path) -> tuple[tuple[str, str, str], ...]:
    from feefifod.archive import HEADER_NOTE  # noqa: PLC0415 - help must not wait for it

    with path.open(encoding="utf-8", errors="backslashreplace", newline="") as file, suppress(csv.Error):
        rows = (row for row in islice(csv.reader(file), 1, None) if len(row) >= 3 and row[1] != HEADER_NOTE)
        return tuple((row[0], row[1], row[2]) for row in islice(rows, _EXAMPLES))
    return ()


def _show(found: list[Reject], settings: Settings) -> None:
    from rich.text import Text  # noqa: PLC0415 - JSON need not wait for it

    from feefifod.log import escape_controls  # noqa: PLC0415 - the same

    console = make_console()
    if not found:
        console.print(f"Nothing is refused: {settings.paths.rejected} is empty.", soft_wrap=True)
        return
    for reject in found:
        line = Text(escape_controls(reject.file), style="bold red" if reject.state == "rejected" else "bold yellow")
        line.append(escape_controls(f"  {reject.when:%Y-%m-%d %H:%M:%S}  {reject.reason}"), style="not bold default")
        console.print(line, soft_wrap=True)
        for number, reason, text in reject.examples:
            console.print(escape_controls(f"  line {number}: {reason}: {text}"), soft_wrap=True)
        more = reject.rows_rejected - len(reject.examples)
        if reject.rows and more > 0:
            console.print(f"  ... and {more:,} more: {escape_controls(os.fspath(reject.rows))}", soft_wrap=True)
        console.print(escape_controls(f"  {reject.path}"), soft_wrap=True)
    files = sum(reject.state == "rejected" for reject in found)
    console.print(
        f"{count_of(files, 'refused file')}, {count_of(len(found) - files, 'file')} loaded without bad rows."
        " Correct them in place, then: feefifod retry PATH",
        soft_wrap=True,
    )
