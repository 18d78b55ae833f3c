"""The last step of a file: what was decided and recorded is now done to it, once, whatever crashes."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

import structlog
from anyio import to_thread

from feefifod.archive import (
    Refusal,
    explain_move,
    forget_draft,
    keep_rows,
    move_file,
    reject_file,
    rename_group,
    sync_folders,
)
from feefifod.catalog import Move
from feefifod.discover import list_parts, name_parts
from feefifod.errors import Unavailable
from feefifod.failpoint import Step, reach
from feefifod.ingest.report import FileResult
from feefifod.ingest.whereabouts import Ended, check_same, describe_stuck, find_moved
from feefifod.model import FileState
from feefifod.parse.names import Kind, judge

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from feefifod.catalog import FileRecord
    from feefifod.ingest.candidates import Selection
    from feefifod.ingest.tools import Tools

_LONGEST_NAME: Final = 200
_GROUP: Final = 256


class NotMoved(Unavailable):
    """Files whose end is recorded cannot be put where they belong; they stay, and other files can be loaded."""


def rows_path(tools: Tools, file_id: int) -> Path:
    """Return where the bad rows of a file are collected."""
    return tools.scratch / f"{file_id}.rows.csv"


async def carry_out(tools: Tools, fence: int, ended: Sequence[Ended]) -> None:
    """Move, delete or refuse files as recorded, then record where they are.

    Raises:
        NotMoved: a folder cannot be changed; the files concerned stay where they are, to be tried again.
    """
    moves: list[Move] = []
    ready, stuck = await _move_other_parts(tools, ended)
    well = [item for item in ready if item.ending in (FileState.DONE, FileState.DUPLICATE)]
    copies = [item for item in well if _is_copy(tools, item)]
    plain = [item for item in well if not _is_copy(tools, item)]
    if copies:
        moves += await _delete_copies(tools, copies, stuck)
    for start in range(0, len(plain), _GROUP):
        moves += await _archive_group(tools, plain[start : start + _GROUP], stuck)
    for item in ready:
        if item.ending in (FileState.REJECTED, FileState.EMPTY):
            try:
                moves.append(await _put_away(tools, item))
            except Unavailable as trouble:
                stuck.append((item, trouble))
    folders = {Path(os.fsdecode(move.moved_to)).parent for move in moves if move.moved_to}
    folders |= {Path(item.path).parent for item in ended} | {tools.paths.rejected}
    await _sync(folders)
    reach(Step.SYNCED)
    await tools.patiently(partial(tools.ledger.finish, fence, moves))
    reach(Step.FINISHED)
    _report(tools, ended, moves)
    if stuck:
        for item, why_not in stuck:
            tools.listener.file_stuck(replace(_result(item, item.reason), stuck=f"{why_not.where}: {why_not.why}"))
        await tools.patiently(partial(tools.ledger.let_go, fence))
        first = stuck[0][1]
        why = f"{first.why}; {describe_stuck([item for item, _ in stuck])}"
        raise NotMoved(why, where=first.where, remedy=first.remedy) from first


async def _sync(folders: Collection[Path]) -> None:
    """Make renames in these folders durable.

    Raises:
        NotMoved: that cannot be known; what was moved is found again, and recorded then.
    """
    try:
        await to_thread.run_sync(_sync_present, folders)
    except OSError as error:
        raise NotMoved(
            f"it is not sure that the disk has what was moved: {error.strerror}",
            where=error.filename or str(next(iter(folders))),
            remedy="Look at the disk; the files are in the table, and their moves are recorded when it answers",
        ) from error


def _sync_present(folders: Collection[Path]) -> None:
    sync_folders([folder for folder in folders if os.path.isdir(folder)])  # noqa: PTH112 - it never raises


_Stuck = list[tuple[Ended, Unavailable]]


async def _archive_group(tools: Tools, group: Sequence[Ended], stuck: _Stuck) -> list[Move]:
    def check(_: str, place: int) -> None:
        check_same(group[place])

    group = await _keep_all_rows(tools, group, stuck)
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
                moves.append(await to_thread.run_sync(find_moved, item, folder, name))
            else:
                moves.append(Move(item.id, os.fsencode(where)))
        except FileNotFoundError:
            moves.append(Move(item.id, None, "it was gone before it could be moved"))
        except OSError as error:
            stuck.append((item, await to_thread.run_sync(explain_move, error, source, folder)))
        except Unavailable as error:
            stuck.append((item, error))
    return moves


async def _keep_all_rows(tools: Tools, group: Sequence[Ended], stuck: _Stuck) -> list[Ended]:
    """Move collected bad rows to `rejected/`; returns the files that can follow.

    The rows go first: once the file itself has gone, nothing would show that they still have to.
    """
    ready: list[Ended] = []
    for item in group:
        try:
            await _keep_rows(tools, item)
            ready.append(item)
        except Unavailable as error:
            stuck.append((item, error))
    return ready


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


async def _delete_copies(tools: Tools, items: Sequence[Ended], stuck: _Stuck) -> list[Move]:
    """Remove scratch copies of a zip's members, which the zip itself keeps; their bad rows are kept beside others'."""
    moves: list[Move] = []
    for start in range(0, len(items), _GROUP):
        group = items[start : start + _GROUP]
        try:
            for item in group:
                await _keep_rows(tools, item)
            await to_thread.run_sync(_unlink_all, [item.path for item in group])
            reach(Step.COPIES_DELETED)
        except (Unavailable, OSError) as error:
            trouble = error if isinstance(error, Unavailable) else _cannot_delete(error, tools.scratch)
            stuck.extend((item, trouble) for item in items[start:])
            return moves
        moves += [Move(item.id, None) for item in group]
    return moves


def _cannot_delete(error: OSError, scratch: Path) -> Unavailable:
    return Unavailable(f"a scratch copy cannot be removed: {error.strerror}", where=str(scratch))


def _unlink_all(paths: Sequence[str]) -> None:
    for path in paths:
        Path(path).unlink(missing_ok=True)


async def _move_other_parts(tools: Tools, ended: Sequence[Ended]) -> tuple[list[Ended], _Stuck]:
    """Move the parts of split zips but the first, the last one first: while the first is there, so are all to move."""
    ready: list[Ended] = []
    stuck: _Stuck = []
    for item in ended:
        try:
            new_name = ""
            if item.is_split:
                check_same(item)
                folder, parts = _folder_of(tools, item), list_parts(item.path)
                names = await to_thread.run_sync(name_parts, parts, folder, item.stamp)
                for part, name in reversed(list(zip(parts, names, strict=True))[1:]):
                    await move_file(part, folder, name)
                new_name = names[0]
            ready.append(replace(item, new_name=new_name))
        except FileNotFoundError:
            ready.append(item)
        except OSError as error:
            stuck.append((item, await to_thread.run_sync(explain_move, error, item.path, _folder_of(tools, item))))
        except Unavailable as error:
            stuck.append((item, error))
    return ready, stuck


def _folder_of(tools: Tools, item: Ended) -> Path:
    if item.ending is FileState.REJECTED:
        return tools.paths.rejected
    return tools.ingested_zips if judge(PurePath(PurePath(item.path).name)).kind is Kind.ZIP else tools.ingested


async def _put_away(tools: Tools, item: Ended) -> Move:
    """Refuse a file, or delete one that has no data row at all."""
    name = shorten(item.target)
    try:
        await to_thread.run_sync(check_same, item)
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
        return await to_thread.run_sync(_find_refused, item, tools.paths.rejected, name)
    except OSError as error:
        raise await to_thread.run_sync(explain_move, error, item.path, tools.paths.rejected) from error


def _find_refused(item: Ended, rejected: Path, name: str) -> Move:
    try:
        return find_moved(item, rejected, name)
    except OSError as error:
        raise explain_move(error, item.path, rejected) from error


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
            ticker=item.series and item.series.ticker,
            quote=item.series and item.series.quote,
            interval_minutes=item.series and item.series.interval_minutes,
            seconds=None if item.begun is None else round(time.monotonic() - item.begun, 3),
            to=os.fsdecode(move.moved_to) if move.moved_to else None,
            reason=reason or None,
        )
        tools.listener.file_finished(_result(item, reason))


def _result(item: Ended, reason: str) -> FileResult:
    return FileResult(
        item.name,
        item.ending,
        item.rows_accepted,
        item.rows_rejected,
        item.rows_odd,
        reason,
        path=os.fsencode(item.path),
        loaded_now=item.loaded_now,
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
        series=record.series,
        loaded_now=False,
        zip_sha256=record.zip_sha256,
    )
