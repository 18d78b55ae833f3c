"""Folders: can we work in them, on which disks, with how much room, and what lies in them that should not."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from feefifod.archive import REASON_SUFFIX, ROWS_SUFFIX, can_change, find_fixture
from feefifod.discover import explain_unreadable, scan
from feefifod.doctor.finding import Finding, fail, good, warn
from feefifod.errors import Refused
from feefifod.wording import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from feefifod.config.settings import PathSettings

GiB: Final = 1024**3
TOO_LITTLE_BYTES: Final = 1 * GiB
LITTLE_BYTES: Final = 5 * GiB
LITTLE_FILES: Final = 100_000
MOST_NAMED: Final = 20

_BATCH: Final = re.compile(r"batch-(?P<pid>[0-9]+)-[0-9]+")


def check_folders(paths: PathSettings) -> list[Finding]:
    """Look at the four folders."""
    folders = {name: getattr(paths, name) for name in ("data", "ingested", "rejected", "state")}
    return [
        *(check_folder(name, folder) for name, folder in folders.items()),
        check_same_disk(paths.data, paths.ingested),
        *check_data(paths.data),
        *check_held(paths.data),
        check_rejected(paths.rejected),
        check_scratch(paths.state / "scratch"),
    ]


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(above for above in (folder, *folder.parents) if os.path.lexists(above))


def check_folder(name: str, folder: Path) -> Finding:
    """Tell whether we can list, enter and write to a folder, or make it."""
    check, here = f"folder {name}", nearest(folder)
    why = {
        "data": "dropped files are read there and moved away from there",
        "ingested": "done files go there",
        "rejected": "refused files and rows go there, with their reasons",
        "state": "the embedded servers and scratch space live there",
    }[name]
    remedy = f"Run: chown {_name_user()} {here}; or choose another: feefifod config set paths.{name} PATH"
    if not here.is_dir():
        return fail(check, f"{here} is no folder", why, f"Move it away, or: feefifod config set paths.{name} PATH")
    making = "" if here == folder else f", so {folder} cannot be made"
    if not os.access(here, os.R_OK | os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        if is_read_only(here):
            what = f"{here} is on a read-only file system{making}"
            return fail(check, what, why, f"Mount it to be written: mount -o remount,rw {_quote(_mountpoint(here))}")
        return fail(check, f"{here} cannot be written by {_name_user()}{making}", why, remedy)
    if fixture := find_fixture(here):
        return fail(
            check, f"{here} cannot be changed: {fixture}{making}", why, f"Run: chattr -i -a {_quote(str(here))}"
        )
    return good(check, f"{folder} is writable" if here == folder else f"{folder} will be made in {here}", why)


def is_read_only(folder: Path) -> bool:
    """Tell whether nothing on a folder's file system can be changed."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _mountpoint(folder: Path) -> str:
    return str(next(above for above in (folder, *folder.parents) if above.is_mount()))


def _name_user() -> str:
    return psutil.Process().username()


def check_same_disk(data: Path, ingested: Path) -> Finding:
    """Tell whether a done file can be renamed, or has to be copied."""
    check = "one file system"
    why = "a rename is instant and atomic; between file systems each file is copied, compared and then removed"
    if nearest(data).stat().st_dev == nearest(ingested).stat().st_dev:
        return good(check, "data and ingested are on one", why)
    what = f"{data} and {ingested} are on two"
    return warn(check, what, why, "Put them on one: feefifod config set paths.ingested PATH")


def check_data(data: Path) -> list[Finding]:
    """Name what lies in the data folder and may not be read, or not be moved away when it is loaded."""
    check, why = "unreadable files", "what feefifod may not read it cannot load; scp and umask often leave mode 0600"
    if not data.is_dir():
        return []
    closed: dict[str, str] = {}
    try:
        files = [item.path for item in scan(str(data), closed) if item.stamp]
    except Refused as error:
        return [fail(check, error.why, why, error.remedy)]
    for folder, folders, _ in os.walk(data):
        paths = [f"{folder}/{name}" for name in folders]
        closed |= {path: "" for path in paths if path not in closed and not _opens(path, os.R_OK | os.X_OK)}
    closed |= {path: "" for path in files if not _opens(path, os.R_OK)}
    findings = [_name_closed(path, reason, check, why) for path, reason in list(closed.items())[:MOST_NAMED]]
    if len(closed) > MOST_NAMED:
        findings.append(
            warn(
                check, f"{len(closed) - MOST_NAMED} more", why, f"Run as their owner: chmod -R a+rX {_quote(str(data))}"
            )
        )
    return findings or [good(check, "none", why)]


def _name_closed(path: str, reason: str, check: str, why: str) -> Finding:
    """Name one thing that cannot be read; `reason` says what is wrong where that is not its mode."""
    if reason and _opens(path, os.R_OK | os.X_OK):
        remedy = f"Mount it anew, or move it out of the data folder: {_quote(path)}"
        return warn(check, f"{path} is passed over: {reason}", why, remedy)
    try:
        explained, _, remedy = explain_unreadable(path).partition("; remedy: ")
    except OSError as error:
        explained, remedy = f"it cannot be looked at: {error.strerror}", ""
    command = f"chmod {'a+rx' if os.path.isdir(path) else 'a+r'} {_quote(path)}"  # noqa: PTH112 - it never raises
    # The owner or root has to do it; feefifod itself has no right to.
    return warn(check, f"{path}: {explained}", why, f"Run as its owner: {command}" if remedy else remedy)


def check_held(data: Path) -> list[Finding]:
    """Name folders in the data folder that files cannot be moved out of: they are loaded, and stay there."""
    check, why = "movable files", "a loaded file is moved away; one that cannot be stays, and is tried again and again"
    held: dict[Path, tuple[str, str]] = {}
    try:
        files = [item.path for item in scan(str(data)) if item.stamp]
    except Refused:
        return []  # The data folder itself has a finding of its own.
    for file in files:
        folder = Path(file).parent
        if folder in held or (folder == data and not can_change(folder)):
            continue
        if fixture := find_fixture(folder, file):
            held[folder] = (fixture, Path(file).name)
    findings = []
    for folder, (fixture, name) in list(held.items())[:MOST_NAMED]:
        sticky = "sticky" in fixture
        command = f"chmod -t {_quote(str(folder))}" if sticky else f"chown {_name_user()} {_quote(str(folder))}"
        remedy = f"Run as root: {command}; where that is not what is in the way, see lsattr and mount"
        findings.append(warn(check, f"{folder}: files such as {name} cannot be moved away: {fixture}", why, remedy))
    return findings or [good(check, "nothing is seen that would keep a file where it is", why)]


def _opens(path: str, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids) or not os.path.lexists(path)


def _quote(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def check_rejected(rejected: Path) -> Finding:
    """Name refused files that have no reason beside them."""
    check, why = "rejected", "a refused file has its reason beside it: one without was put there by someone else"
    try:
        names = {entry.name for entry in os.scandir(rejected) if entry.is_file(follow_symlinks=False)}
    except FileNotFoundError:
        return good(check, "nothing was refused so far", why)
    except OSError as error:
        return fail(check, f"{rejected} cannot be listed: {error.strerror}", why, "Give this user the right to read it")
    files = {n for n in names if not n.startswith(".") and not n.endswith(REASON_SUFFIX)}
    files -= {n for n in files if n.endswith(ROWS_SUFFIX) and n + REASON_SUFFIX not in names}
    if odd := sorted(name for name in files if name + REASON_SUFFIX not in names):
        what = f"{len(odd)} of {len(files)} have no reason, such as {odd[0]}"
        remedy = f"Move it to {rejected.parent / 'data'} to be judged again, or away: {_quote(str(rejected / odd[0]))}"
        return warn(check, what, why, remedy)
    return good(check, f"{count_of(len(files), 'file')}, each with its reason", why)


def check_scratch(scratch: Path) -> Finding:
    """Name scratch space that killed processes left."""
    check, why = "scratch", "a killed process leaves its scratch files, and they take room"
    try:
        found = [(entry.path, _BATCH.fullmatch(entry.name)) for entry in os.scandir(scratch)]
    except OSError:
        found = []
    left = sorted(path for path, match in found if match and not psutil.pid_exists(int(match["pid"])))
    if not left:
        return good(check, "nothing is left over", why)
    size = sum(file.stat().st_size for folder in left for file in Path(folder).rglob("*") if file.is_file())
    what = f"{len(left)} left by ended processes, {size / 1024**2:,.0f} MiB"
    return warn(check, what, why, f"Run: rm -r {' '.join(map(_quote, left))}")


def check_disks(folders: Iterable[tuple[str, Path]]) -> Iterator[Finding]:
    """Tell how much room there is, once for each disk."""
    disks: dict[int, list[tuple[str, Path]]] = {}
    for name, folder in folders:
        here = nearest(folder)
        disks.setdefault(here.stat().st_dev, []).append((name, here))
    for shared in disks.values():
        here = shared[0][1]
        files = os.statvfs(here)
        names = ", ".join(name for name, _ in shared)
        yield judge_room(names, str(here), shutil.disk_usage(here).free, files.f_favail if files.f_files else None)


def judge_room(names: str, where: str, free_bytes: int, free_files: int | None) -> Finding:
    """Judge the room on a disk; `free_files` is None where a file system has no limit."""
    check = f"disk of {names}"
    why = "on a full disk QuestDB crashes or suspends its tables; merging needs room for new copies of partitions"
    what = f"{free_bytes / GiB:,.1f} GiB free at {where}"
    remedy = (
        f"Free some space there (du -xh --max-depth=2 {_quote(where)} | sort -h), or move the folder to a larger disk"
    )
    if free_bytes < TOO_LITTLE_BYTES:
        return fail(check, what, why, remedy)
    if free_bytes < LITTLE_BYTES:
        return warn(check, what, why, remedy)
    if free_files is not None and free_files < LITTLE_FILES:
        why = "each partition is a folder with a file for each column"
        return warn(
            check, f"{what}, but only {count_of(free_files, 'more file')}", why, "Use a file system with more inodes"
        )
    return good(check, what, why)
