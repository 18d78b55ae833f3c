"""Where files go when they are done. The asynchronous file work that is not hot, by aiofiles."""

from feefifod.archive.move import forget_draft, move_file, rename_exclusive, rename_group, sync_folders
from feefifod.archive.packing import hash_packed, pack_file, remove_drafts, unpack_file
from feefifod.archive.reasons import Refusal, RejectedRows, keep_rows, reject_file
from feefifod.archive.wrapping import unwrap, unwrap_file
from feefifod.parse.names import PACKED_SUFFIX, REASON_SUFFIX, ROWS_SUFFIX

__all__ = [
    "PACKED_SUFFIX",
    "REASON_SUFFIX",
    "ROWS_SUFFIX",
    "Refusal",
    "RejectedRows",
    "forget_draft",
    "hash_packed",
    "keep_rows",
    "move_file",
    "pack_file",
    "reject_file",
    "remove_drafts",
    "rename_exclusive",
    "rename_group",
    "sync_folders",
    "unpack_file",
    "unwrap",
    "unwrap_file",
]
