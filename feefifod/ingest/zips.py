"""Zips, step by step: hashed, looked through, unpacked portion by portion, and put away when all members are done.

The members of a portion are ordinary drops: they are claimed, loaded and ended as any file is. A zip is only held
during a step, and everything about it is in the ledger, so any process can do the next one.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from anyio import to_thread

from feefifod.catalog import LeaseLost
from feefifod.catalog.lease import RENEW_SECONDS
from feefifod.discover import is_blank, join_parts, open_drop, open_zip, read_contents, read_sums, zip_name
from feefifod.errors import BadInput, FeefifodError, Unavailable
from feefifod.failpoint import Step, reach
from feefifod.ingest.candidates import show_name
from feefifod.ingest.finish import carry_out
from feefifod.ingest.load import Stopped
from feefifod.ingest.unpack import Shelf, choose_portion, unpack
from feefifod.ingest.whereabouts import Ended
from feefifod.ingest.zip_plan import Plan, compare_manifest
from feefifod.lasting import tell_end, tell_fault
from feefifod.model import FileState
from feefifod.pulse import beat, working

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Sequence

    from feefifod.catalog import ZipClaim
    from feefifod.discover import Found
    from feefifod.discover.parts import JoinedFile, Part
    from feefifod.ingest.candidates import Selection
    from feefifod.ingest.tools import Tools
    from feefifod.model import FileStamp

_QUIET_SECONDS: Final = 120.0
"""A zip that cannot go on is looked at again after this; reading its directory takes a fifth of a second."""
_HOP_BYTES: Final = 64 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Zips:
    """Takes zips forward.

    Attributes:
        notes: why a zip is not finished, by its path, as its last step found it.
        troubles: those of them that are something to mend.
    """

    tools: Tools
    notes: dict[bytes, str] = field(default_factory=dict)
    troubles: dict[bytes, str] = field(default_factory=dict)
    _quiet: dict[bytes, tuple[FileStamp, float]] = field(default_factory=dict)
    _tidied: bool = False

    @property
    def shelf(self) -> Shelf:
        """Where members are unpacked to."""
        return Shelf(self.tools.scratch / "zips")

    def find_due(self, selection: Selection) -> list[Found]:
        """Return the zips that a step may take forward now."""
        now = time.monotonic()
        here = {os.fsencode(found.path) for found in selection.zips}
        self._quiet = {path: quiet for path, quiet in self._quiet.items() if path in here and quiet[1] > now}
        return [found for found in selection.zips if self._is_due(found)]

    def _is_due(self, found: Found) -> bool:
        quiet = self._quiet.get(os.fsencode(found.path))
        return quiet is None or quiet[0] != found.stamp

    def wake(self) -> None:
        """Look at all zips again: members were finished, or others are wanted now."""
        self._quiet.clear()

    async def advance(self, found: Found, table_id: str) -> bool:
        """Do what is next for a complete zip; True when it is unpacked further, or at its end.

        Raises:
            Stopped: the stop came first.
            LeaseLost: another process has it now.
            Refused, Unavailable: see the ledger, and `carry_out`.
        """
        tools, path = self.tools, os.fsencode(found.path)
        if found.stamp is None:
            return False
        await self._tidy()
        await tools.patiently(tools.ledger.free_dead_owners)
        name = zip_name(show_name(found.path))
        claim = await tools.unless_copied(partial(tools.ledger.zips.claim, path, name, found.stamp, table_id))
        if claim is None:
            self._rest(found, "another process is at work on it")
            return False
        reach(Step.ZIP_CLAIMED)
        step = ZipStep(tools, self.shelf, found, claim, table_id)
        try:
            with working(f"zip {name}"):
                moved_on, note = await step.run()
        except Unavailable as error:
            self._rest(found, str(error), trouble=True)
            tell_fault("zip_waits", name, error.why, zip=name, where=error.where, remedy=error.remedy)
            await tools.patiently(partial(tools.ledger.zips.leave, claim, str(error), None))
            return False
        finally:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + 5.0):
                await self._let_go(claim)
        tell_end("zip_waits", name)
        if moved_on:
            self.notes.pop(path, None)
            self.troubles.pop(path, None)
        else:
            self._rest(found, note)
        return moved_on

    def _rest(self, found: Found, note: str, *, trouble: bool = False) -> None:
        path = os.fsencode(found.path)
        self.notes[path] = note
        if trouble:
            self.troubles[path] = note
        if found.stamp is not None:
            self._quiet[path] = found.stamp, time.monotonic() + _QUIET_SECONDS

    async def _let_go(self, claim: ZipClaim) -> None:
        try:
            await self.tools.ledger.let_go(claim.fence)
        except FeefifodError as error:
            structlog.get_logger().debug("lease_left_to_end", reason=error.why)

    async def _tidy(self) -> None:
        if not self._tidied:
            known = await self.tools.patiently(self.tools.ledger.zips.unfinished_hashes)
            await to_thread.run_sync(self.shelf.clear_strange, known)
            self._tidied = True


@dataclass(slots=True)
class ZipStep:
    """One step of one zip that is ours."""

    tools: Tools
    shelf: Shelf
    found: Found
    claim: ZipClaim
    table_id: str
    _renewed: float = field(default_factory=time.monotonic)

    async def run(self) -> tuple[bool, str]:
        """Do it; returns whether it moved on, and what there is to say of the zip.

        Raises:
            Unavailable: it cannot be read, or there is no room to unpack it. Stopped, LeaseLost: as `Zips.advance`.
        """
        try:
            return await self._run()
        except FileNotFoundError:
            return await self._leave("it changed while it was read")
        except OSError as error:
            raise Unavailable(
                f"it cannot be read or unpacked: {error.strerror or error}",
                where=error.filename or self.found.path,
                remedy="Look at the disk and its free space; it is tried again",
            ) from error
        except BadInput as error:
            await self._end(FileState.REJECTED, str(error))
            return True, str(error)

    async def _run(self) -> tuple[bool, str]:
        tools, zips = self.tools, self.tools.ledger.zips
        if await to_thread.run_sync(is_blank, self.found.parts):
            await self._end(FileState.EMPTY, "there is no file in it")
            return True, ""
        sha256 = self.claim.sha256 or await self._hash()
        if await tools.patiently(partial(zips.is_known, self.claim, sha256, self.table_id)):
            await self._end(FileState.DUPLICATE, "its content is in the table already")
            return True, ""
        if twin := await tools.patiently(partial(zips.find_twin, self.claim, sha256)):
            return await self._leave(f"the same content is being loaded from {twin}")
        with ExitStack() as stack:
            archive = await to_thread.run_sync(stack.enter_context, open_zip(self.found.parts))
            try:
                return await self._take_forward(archive, sha256)
            except BadInput:
                await to_thread.run_sync(self.shelf.clear, sha256)
                raise

    async def _take_forward(self, archive: zipfile.ZipFile, sha256: bytes) -> tuple[bool, str]:
        tools, members = self.tools, self.tools.ledger.zips.members
        contents = await to_thread.run_sync(read_contents, archive)
        await to_thread.run_sync(self.shelf.tidy, sha256)
        # In this order: a copy that is gone by now was finished before the ledger is asked.
        unpacked = await to_thread.run_sync(self.shelf.places, sha256)
        records = await tools.patiently(partial(members, sha256, self.table_id))
        plan = Plan.make(contents, records, unpacked, tools)
        if not plan.left:
            await self._end(FileState.DONE, compare_manifest(contents, records.values()), len(contents.members))
            await to_thread.run_sync(self.shelf.clear, sha256)
            reach(Step.SCRATCH_CLEARED)
            return True, ""
        if plan.loading or not plan.wanted:
            return await self._leave(plan.describe(), len(contents.members))
        portion = await to_thread.run_sync(choose_portion, plan.wanted, tools.scratch)
        started = time.monotonic()
        folder = self.shelf.folder(sha256)
        await unpack(archive, portion, folder, workers=tools.pipeline.workers, go_on=self._go_on)
        reach(Step.ZIP_UNPACKED)
        structlog.get_logger().info(
            "zip_unpacked",
            zip=zip_name(show_name(self.found.path)),
            files=len(portion),
            left=len(plan.wanted) - len(portion),
            bytes=sum(member.size for member in portion),
            seconds=round(time.monotonic() - started, 3),
        )
        await self._leave(plan.describe(), len(contents.members))
        return True, ""

    async def _go_on(self) -> None:
        """Renew the lease when it is time.

        Raises:
            Stopped: the stop came. LeaseLost: another process has the zip.
        """
        if self.tools.stop.is_set():
            raise Stopped
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            if not await self.tools.patiently(partial(self.tools.ledger.zips.renew, self.claim)):
                raise LeaseLost("another process has taken over a zip", where=self.found.path)
            self._renewed = time.monotonic()

    async def _hash(self) -> bytes:
        """Hash all parts as one, and compare with the list of checksums beside them, if there is one.

        Raises:
            BadInput: a checksum is another one.
        """
        folder = os.path.dirname(self.found.path)  # noqa: PTH120 - any bytes are a name
        sums = await to_thread.run_sync(read_sums, folder, open_drop)
        whole = hashlib.sha256()
        name = zip_name(PurePath(self.found.path).name)
        for part in self.found.parts:
            await self._hash_part(part, whole, sums.get(PurePath(part.path).name))
        _check_sum(name, whole.hexdigest(), sums.get(name))
        sha256 = whole.digest()
        await self.tools.patiently(partial(self.tools.ledger.zips.record_hash, self.claim, sha256))
        reach(Step.ZIP_HASHED)
        return sha256

    async def _hash_part(self, part: Part, whole: hashlib._Hash, listed: str | None) -> None:
        alone = hashlib.sha256()
        digests = [whole, alone] if listed else [whole]
        with join_parts([part]) as file:
            while True:
                await self._go_on()
                if not await to_thread.run_sync(_hash_some, file, digests, limiter=self.tools.reading):
                    break
        _check_sum(PurePath(part.path).name, alone.hexdigest(), listed)

    async def _leave(self, note: str, members: int | None = None) -> tuple[bool, str]:
        await self.tools.patiently(partial(self.tools.ledger.zips.leave, self.claim, note, members))
        return False, note

    async def _end(self, state: FileState, reason: str, members: int | None = None) -> None:
        """Record what becomes of the zip, and do it."""
        tools, stamp = self.tools, self.found.stamp
        table_id = None if state in (FileState.REJECTED, FileState.EMPTY) else self.table_id
        mark = tools.ledger.zips.mark_ending
        marked = await tools.patiently(partial(mark, self.claim, state, reason, table_id=table_id, members=members))
        if not marked or stamp is None:
            raise LeaseLost("another process has taken over a zip", where=self.found.path)
        reach(Step.ZIP_DECIDED)
        name = zip_name(show_name(self.found.path))
        await carry_out(tools, self.claim.fence, [Ended(self.claim.id, self.found.path, name, stamp, state, reason)])
        if state is FileState.REJECTED and tools.stop_on_error:
            tools.stop.set()


def _hash_some(file: JoinedFile, digests: Sequence[hashlib._Hash]) -> int:
    done = 0
    while done < _HOP_BYTES and (piece := file.read(_PIECE_BYTES)):
        beat()
        for digest in digests:
            digest.update(piece)
        done += len(piece)
        beat()
    return done


def _check_sum(name: str, sha256: str, listed: str | None) -> None:
    """Raise BadInput when a checksum is another than the list says."""
    if listed is not None and sha256 != listed:
        raise BadInput(
            f"the SHA-256 of {name} is {sha256[:16]}..., and the list of checksums says {listed[:16]}...",
            remedy="Download it again",
        )
