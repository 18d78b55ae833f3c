"""The last step of a file: what was decided and recorded is now done to it, once, whatever crashes."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import structlog
from anyio import to_thread

from feefifod.archive import Refusal, forget_draft, keep_rows, move_file, reject_file, rename_group, sync_folders
from feefifod.catalog import Move
from feefifod.discover import is_part, list_parts, name_parts, open_drop
from feefifod.errors import Unavailable
from feefifod.failpoint import Step, reach
from feefifod.ingest.report import FileResult
from feefifod.model import FileState
from feefifod.parse.names import Kind, judge, strip_stamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feefifod.catalog import FileRecord
    from feefifod.ingest.candidates import Selection
    from feefifod.ingest.tools import Tools
    from feefifod.model import FileStamp

_LONGEST_NAME: Final = 200
_GROUP: Final = 256


@dataclass(frozen=True, slots=True)
class Ended:
    """A file whose end is decided and recorded.

    Attributes:
        zip_sha256: of the zip that it is a scratch copy from; None for what a person dropped.
        new_name: what it is to be called where it goes, unless that is taken; "" for its own name.
    """

    id: int
    path: str
    name: str
    stamp: FileStamp
    ending: FileState
    reason: str
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_odd: int = 0
    zip_sha256: bytes | None = None
    new_name: str = ""

    @property
    def target(self) -> str:
        """What it is to be called where it goes."""
        return self.new_name or PurePath(self.path).name


class NotMoved(Unavailable):
    """Files whose end is recorded cannot be put where they belong; they stay, and other files can be loaded."""


def rows_path(tools: Tools, file_id: int) -> Path:
    """Return where the bad rows of a file are collected."""
    return tools.scratch / f"{file_id}.rows.csv"


async def carry_out(tools: Tools, fence: int, ended: Sequence[Ended]) -> None:
    """Move, delete or refuse files as recorded, then record where they are.

    Raises:
        NotMoved: a folder cannot be written; the files concerned stay where they are, to be tried again.
    """
    moves: list[Move] = []
    ended, trouble = await _move_other_parts(tools, ended)
    well = [item for item in ended if item.ending in (FileState.DONE, FileState.DUPLICATE)]
    copies = [item for item in well if _is_copy(tools, item)]
    plain = [item for item in well if item not in copies]
    if copies:
        deleted, error = await _delete_copies(tools, copies)
        moves += deleted
        trouble = trouble or error
    for start in range(0, len(plain), _GROUP):
        group = plain[start : start + _GROUP]
        moved, error = await _archive_group(tools, group)
        moves += moved
        trouble = trouble or error
    for item in ended:
        if item.ending in (FileState.REJECTED, FileState.EMPTY):
            try:
                moves.append(await _put_away(tools, item))
            except Unavailable as error:
                trouble = trouble or error
    folders = {Path(os.fsdecode(move.moved_to)).parent for move in moves if move.moved_to}
    folders |= {Path(item.path).parent for item in ended} | {tools.paths.rejected}
    await to_thread.run_sync(sync_folders, [folder for folder in folders if folder.is_dir()])
    reach(Step.SYNCED)
    await tools.patiently(partial(tools.ledger.finish, fence, moves))
    reach(Step.FINISHED)
    _report(tools, ended, moves)
    if trouble is not None:
        await tools.patiently(partial(tools.ledger.let_go, fence))
        raise NotMoved(trouble.why, where=trouble.where, remedy=trouble.remedy) from trouble


async def _archive_group(tools: Tools, group: Sequence[Ended]) -> tuple[list[Move], Unavailable | None]:
    def check(_: str, place: int) -> None:
        _check(group[place])

    group, trouble = await _keep_all_rows(tools, group)
    targets = [(item.path, _folder_of(tools, item), item.target) for item in group]
    results = await to_thread.run_sync(rename_group, targets, check)
    moves: list[Move] = []
    for item, (source, folder, name), result in zip(group, targets, results, strict=True):
        try:
            where = result
            if where is None or (isinstance(where, OSError) and not isinstance(where, FileNotFoundError)):
                # Another file system, or something in the way that `move_file` can name.
                where = await move_file(source, folder, name)
            if isinstance(where, FileNotFoundError):
                moves.append(await to_thread.run_sync(_find_moved, item, folder, name))
            else:
                moves.append(Move(item.id, os.fsencode(where)))
        except FileNotFoundError:
            moves.append(Move(item.id, None, "it was gone before it could be moved"))
        except Unavailable as error:
            trouble = error
    return moves, trouble


async def _keep_all_rows(tools: Tools, group: Sequence[Ended]) -> tuple[list[Ended], Unavailable | None]:
    """Move collected bad rows to `rejected/`; returns the files that can follow.

    The rows go first: once the file itself has gone, nothing would show that they still have to.
    """
    ready: list[Ended] = []
    trouble: Unavailable | None = None
    for item in group:
        try:
            await _keep_rows(tools, item)
            ready.append(item)
        except Unavailable as error:
            trouble = error
    return ready, trouble


async def _keep_rows(tools: Tools, item: Ended) -> None:
    rows = rows_path(tools, item.id)
    if not item.rows_rejected:
        return
    if not await to_thread.run_sync(rows.exists):
        await to_thread.run_sync(forget_draft, str(rows), tools.paths.rejected)
    else:
        await keep_rows(rows, tools.paths.rejected, shorten(PurePath(item.path).name))
        reach(Step.ROWS_KEPT)


def _is_copy(tools: Tools, item: Ended) -> bool:
    """Tell whether a file may be removed because a zip has it.

    Nothing that lies in the data folder is a copy of ours, whatever a ledger of an earlier version says of it.
    """
    dropped = item.path.startswith(os.path.join(tools.paths.data, ""))  # noqa: PTH118 - any bytes are a name
    return item.zip_sha256 is not None and not dropped


async def _delete_copies(tools: Tools, items: Sequence[Ended]) -> tuple[list[Move], Unavailable | None]:
    """Remove scratch copies of a zip's members, which the zip itself keeps; their bad rows are kept beside others'."""
    moves: list[Move] = []
    for start in range(0, len(items), _GROUP):
        group = items[start : start + _GROUP]
        try:
            for item in group:
                await _keep_rows(tools, item)
            await to_thread.run_sync(_unlink_all, [item.path for item in group])
            reach(Step.COPIES_DELETED)
        except Unavailable as error:
            return moves, error
        except OSError as error:
            return moves, Unavailable(f"a scratch copy cannot be removed: {error.strerror}", where=str(tools.scratch))
        moves += [Move(item.id, None) for item in group]
    return moves, None


def _unlink_all(paths: Sequence[str]) -> None:
    for path in paths:
        Path(path).unlink(missing_ok=True)


async def _move_other_parts(tools: Tools, ended: Sequence[Ended]) -> tuple[list[Ended], Unavailable | None]:
    """Move the parts of split zips but the first, the last one first: while the first is there, so are all to move."""
    ready: list[Ended] = []
    trouble: Unavailable | None = None
    for item in ended:
        try:
            new_name = ""
            if _is_split(item):
                _check(item)
                folder, parts = _folder_of(tools, item), list_parts(item.path)
                names = await to_thread.run_sync(name_parts, parts, folder, item.stamp)
                for part, name in reversed(list(zip(parts, names, strict=True))[1:]):
                    await move_file(part, folder, name)
                new_name = names[0]
            ready.append(replace(item, new_name=new_name))
        except FileNotFoundError:
            ready.append(item)
        except Unavailable as error:
            trouble = error
    return ready, trouble


def _is_split(item: Ended) -> bool:
    """Tell whether it is a split zip, recorded with its first part; one with a refused name is a file for itself."""
    return is_part(item.path) and judge(PurePath(PurePath(item.path).name)).kind is Kind.ZIP


def _folder_of(tools: Tools, item: Ended) -> Path:
    if item.ending is FileState.REJECTED:
        return tools.paths.rejected
    return tools.ingested_zips if judge(PurePath(PurePath(item.path).name)).kind is Kind.ZIP else tools.ingested


def _find_moved(item: Ended, folder: Path, name: str) -> Move:
    """Say where a file is that is not (as it was) in the data folder: an earlier try may have moved it."""
    replaced = os.path.lexists(item.path)
    if folder.is_dir():
        if not replaced:
            forget_draft(item.path, folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if strip_stamp(entry.name) == strip_stamp(name):
                    status = entry.stat(follow_symlinks=False)
                    renamed = (status.st_dev, status.st_ino) == (item.stamp.device, item.stamp.inode)
                    # A copy to another file system keeps size and time of modification, to the nanosecond.
                    alike = (status.st_size, status.st_mtime_ns) == (item.stamp.size, item.stamp.mtime_ns)
                    if renamed or (alike and not replaced):
                        return Move(item.id, os.fsencode(entry.path))
    if replaced:
        return Move(item.id, None, "replaced in the data folder before it was moved")
    return Move(item.id, None, "it was gone before it could be moved")


async def _put_away(tools: Tools, item: Ended) -> Move:
    """Refuse a file, or delete one that has no data row at all."""
    name = shorten(item.target)
    try:
        await to_thread.run_sync(_check, item)
        if item.ending is FileState.EMPTY:
            reach(Step.DELETING)
            await to_thread.run_sync(os.unlink, item.path)
            reach(Step.DELETED)
            return Move(item.id, None)
        rows = rows_path(tools, item.id)
        has_rows = await to_thread.run_sync(rows.exists)
        facts: dict[str, object] = {"rows_rejected": item.rows_rejected}
        if item.zip_sha256 is not None:
            facts["zip"] = await tools.patiently(partial(tools.ledger.zips.name_of, item.zip_sha256))
        refusal = Refusal(item.reason, facts, rows if has_rows else None)
        target = await reject_file(item.path, tools.paths.rejected, name, refusal)
        return Move(item.id, os.fsencode(target))
    except FileNotFoundError:
        return await to_thread.run_sync(_find_moved, item, tools.paths.rejected, name)
    except OSError as error:
        raise Unavailable(
            f"a file cannot be put away: {error.strerror}", where=item.path, remedy="It is tried again"
        ) from error


def _check(item: Ended) -> None:
    """Make sure that a file is the one whose end was decided.

    Raises:
        FileNotFoundError: it is gone, or another one.
    """
    if _is_split(item):
        # The recorded stamp is that of all parts together, and some may have moved in an earlier try.
        status = os.lstat(item.path)
        if (status.st_dev, status.st_ino) != (item.stamp.device, item.stamp.inode):
            raise FileNotFoundError(errno.ENOENT, "it was replaced", item.path)
        return
    try:
        os.close(open_drop(item.path, item.stamp))
    except PermissionError:
        return  # A refused name may be unreadable; the move needs no right to read.


def shorten(name: str) -> str:
    """Return a name that leaves room for our endings."""
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_NAME:
        return name
    return f"{os.fsdecode(raw[:_LONGEST_NAME])}~{hashlib.sha256(raw).hexdigest()[:8]}"


def _report(tools: Tools, ended: Sequence[Ended], moves: Sequence[Move]) -> None:
    log = structlog.get_logger()
    by_id = {move.id: move for move in moves}
    for item in ended:
        move = by_id.get(item.id)
        if move is None:
            continue
        reason = move.remark or item.reason
        emit = log.warning if item.ending is FileState.REJECTED else log.info
        emit(
            f"file_{item.ending}",
            file=item.name,
            rows=item.rows_accepted,
            rejected=item.rows_rejected,
            odd=item.rows_odd,
            to=os.fsdecode(move.moved_to) if move.moved_to else None,
            reason=reason or None,
        )
        tools.listener.file_finished(
            FileResult(item.name, item.ending, item.rows_accepted, item.rows_rejected, item.rows_odd, reason)
        )


async def finish_left_over(tools: Tools, selection: Selection) -> None:
    """Finish files whose end is recorded but that were not moved, by whomever, and take them out of `selection`.

    Raises:
        NotMoved: as `carry_out`.
    """
    fence, records = await tools.patiently(tools.ledger.adopt_unmoved)
    if records:
        decided = {record.path for record in records}
        selection.drops = [drop for drop in selection.drops if drop.path not in decided]
        selection.zips = [found for found in selection.zips if os.fsencode(found.path) not in decided]
        await carry_out(tools, fence, [_ended(record) for record in records])


def _ended(record: FileRecord) -> Ended:
    if record.ending is None:
        raise ValueError(f"file {record.id} is moving without an ending")
    return Ended(
        record.id,
        os.fsdecode(record.path),
        record.name,
        record.stamp,
        record.ending,
        record.reason,
        record.rows_accepted,
        record.rows_rejected,
        zip_sha256=record.zip_sha256,
    )
