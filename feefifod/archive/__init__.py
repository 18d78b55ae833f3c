"""Where files go when they are done. The asynchronous file work that is not hot, by aiofiles."""

from feefifod.archive.move import forget_draft, move_file, rename_exclusive, rename_group, sync_folders
from feefifod.archive.reasons import REASON_SUFFIX, ROWS_SUFFIX, Refusal, RejectedRows, keep_rows, reject_file

__all__ = [
    "REASON_SUFFIX",
    "ROWS_SUFFIX",
    "Refusal",
    "RejectedRows",
    "forget_draft",
    "keep_rows",
    "move_file",
    "reject_file",
    "rename_exclusive",
    "rename_group",
    "sync_folders",
]
