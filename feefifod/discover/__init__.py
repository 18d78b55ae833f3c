"""What lies in the data folder, and whether it is complete. The home of watchfiles."""

from feefifod.discover.candidates import Sight
from feefifod.discover.folder import Folder
from feefifod.discover.parts import Part, is_part, list_parts, name_parts, read_sums, zip_name
from feefifod.discover.scan import Found, find_closed, look_at, open_drop, scan, stamp_of
from feefifod.discover.settle import Settlement, Settler, explain_unreadable
from feefifod.discover.siblings import Siblings
from feefifod.discover.watch import Waker
from feefifod.discover.zips import (
    Contents,
    Manifest,
    Member,
    copy_member,
    is_blank,
    join_parts,
    list_members,
    open_zip,
    read_contents,
)

__all__ = [
    "Contents",
    "Folder",
    "Found",
    "Manifest",
    "Member",
    "Part",
    "Settlement",
    "Settler",
    "Siblings",
    "Sight",
    "Waker",
    "copy_member",
    "explain_unreadable",
    "find_closed",
    "is_blank",
    "is_part",
    "join_parts",
    "list_members",
    "list_parts",
    "look_at",
    "name_parts",
    "open_drop",
    "open_zip",
    "read_contents",
    "read_sums",
    "scan",
    "stamp_of",
    "zip_name",
]
