"""Where files go when they are done. The asynchronous file work that is not hot, by aiofiles."""

from feefifod.archive.durability import copy_times, sync_file, sync_folders
from feefifod.archive.fault import can_change, explain_move, find_fixture
from feefifod.archive.move import (
    find_noted,
    forget_draft,
    make_portable,
    move_file,
    rename_exclusive,
    rename_group,
)
from feefifod.archive.packing import hash_packed, pack_file, remove_drafts, unpack_file
from feefifod.archive.reasons import HEADER_NOTE, Refusal, RejectedRows, keep_rows, reject_file
from feefifod.archive.reservation import is_reserved
from feefifod.archive.wrapping import unwrap, unwrap_file
from feefifod.parse.names import PACKED_SUFFIX, REASON_SUFFIX, ROWS_SUFFIX

__all__ = [
    "HEADER_NOTE",
    "PACKED_SUFFIX",
    "REASON_SUFFIX",
    "ROWS_SUFFIX",
    "Refusal",
    "RejectedRows",
    "can_change",
    "copy_times",
    "explain_move",
    "find_fixture",
    "find_noted",
    "forget_draft",
    "hash_packed",
    "is_reserved",
    "keep_rows",
    "make_portable",
    "move_file",
    "pack_file",
    "reject_file",
    "remove_drafts",
    "rename_exclusive",
    "rename_group",
    "sync_file",
    "sync_folders",
    "unpack_file",
    "unwrap",
    "unwrap_file",
]
