"""Why an embedded server does not start: the end of what it said, as one sentence with a remedy."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from feefifod.errors import FeefifodError, Refused, Unavailable


class _Reason(NamedTuple):
    """What a server's words mean; `passing`: it can be over by itself, so that the start is tried again."""

    words: re.Pattern[str]
    why: str
    remedy: str
    passing: bool = False


def _reason(words: str, why: str, remedy: str, *, passing: bool = False) -> _Reason:
    return _Reason(re.compile(words, re.IGNORECASE), why, remedy, passing)


_REASONS: Final = (
    _reason(
        r"shared memory segment.*(No space left|Cannot allocate)|/dev/shm",
        "there is too little shared memory",
        "Make /dev/shm larger (docker run --shm-size=256m), or set kernel.shmmax and kernel.shmall higher",
    ),
    _reason(
        r"Invalid (maximum|initial) heap size|exceeds the maximum representable size|Could not reserve enough space",
        "its heap is larger than this machine can give",
        "Set embedded.heap_mib to less than the machine's memory",
    ),
    _reason(
        r"insufficient memory for the Java|commit_memory.*failed|Cannot allocate memory"
        r"|OutOfMemoryError|errno=12\b",
        "the machine has too little memory for it",
        "Set embedded.heap_mib lower, or free some memory",
        passing=True,
    ),
    _reason(
        r"No space left on device|Disk quota exceeded|errno=28\b|errno=122\b",
        "the disk is full",
        "Free some space on the disk of [paths] state",
        passing=True,
    ),
    _reason(
        r"failed to map segment from shared object|Operation not permitted.*\.so|noexec",
        "its folder is on a file system that programs may not be run from (noexec)",
        "Set paths.state to a folder of another file system, or mount that one without noexec",
    ),
    _reason(
        r"zip END header|invalid (LOC|CEN|END) header|Invalid or corrupt jarfile|ZipException|FindException|"
        r"Unable to access jarfile|boot layer",
        "QuestDB's program (its jar) is damaged",
        "Remove ~/.cache/feefifod/questdb-*.jar; the next start fetches it again",
    ),
    _reason(
        r"Address already in use|could not bind|errno=98\b",
        "its port was taken by another process",
        "Set another port in [embedded]; 0 takes any free one",
        passing=True,
    ),
    _reason(
        r"Too many open files|errno=24\b",
        "it may have too few open files",
        "Raise the limit: LimitNOFILE=1048576 under systemd, or ulimit -n 1048576",
    ),
    _reason(
        r"has invalid permissions|has wrong ownership|is not owned by",
        "its data folder belongs to another user, or others may read it",
        "Give the folder back to the user that runs feefifod (chown -R), with the mode 0700",
    ),
    _reason(
        r"exists but is not empty|is not empty",
        "the folder where its data is to be made is not empty",
        "Move what lies there elsewhere",
    ),
    _reason(
        r"incompatible with (this )?(server|version)|was initialized by PostgreSQL version|Unsupported version|"
        r"table version.*(newer|higher)|Metadata version does not match",
        "its data was made by another version",
        "Use the version of feefifod that made it, or move the data elsewhere; see docs/operations.md on upgrades",
    ),
    _reason(
        r"could not locate a valid checkpoint|is not a valid data directory|invalid checkpoint record|"
        r"could not find the database|pg_control|WAL.*corrupt|contains unexpected|invalid data in file",
        "its data is damaged",
        "Restore [paths] state from a backup; see docs/operations.md",
    ),
    _reason(
        r"error while loading shared libraries|cannot open shared object|GLIBC_|not found \(required by",
        "this system lacks a library that it needs",
        "Install that library, or set a server of your own in [postgres] url and [databases.questdb] url",
    ),
    _reason(
        r"Exec format error|cannot execute binary",
        "its program is for another kind of machine",
        "Install feefifod[embedded] anew on this machine",
    ),
    _reason(
        r"cannot be run as root|could not look up effective user",
        "it cannot run as this user",
        "Run feefifod as a user of its own; see docs/operations.md",
    ),
    _reason(
        r"Read-only file system|errno=30\b",
        "its folder cannot be written: the file system is read-only",
        "Set paths.state to a folder that can be written",
    ),
    _reason(
        r"Permission denied|AccessDenied|errno=13\b|errno=1\b",
        "the user that runs feefifod has no right to its folder",
        "Give that user the right to write in [paths] state",
    ),
)
_PREFIX: Final = re.compile(
    r"^(\d{4}-\d\d-\d\d[T ][\d:.,]+Z?( ?UTC)?\s*)?(\[\d+\]\s*)?((FATAL|PANIC|ERROR|LOG|initdb: error|[CEIA]):?\s+)?"
    r"((i\.q\.[\w.]+|java)\s+)?"
)
_TELLING: Final = re.compile(r"FATAL|PANIC|error|exception|cannot|could not", re.IGNORECASE)
_STACK: Final = re.compile(r"^\s*(at |\.\.\. \d+ more|Caused by: $)|removing |^HINT|^DETAIL")
_LENGTH: Final = 300


def explain_start(server: str, said: str, where: str) -> FeefifodError:
    """Make the error of a server that ended in place of starting.

    Args:
        server: its name.
        said: what it wrote since it was started.
        where: its log, or its folder.
    """
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _STACK.search(line)]
    words = next((line for line in reversed(lines) if _TELLING.search(line)), lines[-1] if lines else "")
    words = _PREFIX.sub("", words, count=1)[:_LENGTH].rstrip(".")
    what = f"the embedded {server} does not start"
    for reason in _REASONS:
        if reason.words.search(said):
            kind = Unavailable if reason.passing else Refused
            return kind(f"{what}: {reason.why} ({words})", where=where, remedy=reason.remedy)
    if not words:
        why = f"{what}: it ended, or was killed, without a word"
        remedy = "Look for a lack of memory (dmesg), and set embedded.heap_mib lower"
        return Unavailable(why, where=where, remedy=remedy)
    return Unavailable(f"{what}: {words}", where=where, remedy="See its log for more")
