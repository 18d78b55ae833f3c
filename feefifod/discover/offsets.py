"""Zips of more than 4 GiB without zip64, as macOS' Archive Utility makes them: their directory has the places of
members without the bits above the thirty-second.

The bytes are all there and lie in the order of the directory, so each place follows from the one before.
"""

from __future__ import annotations

import struct
import zipfile
from typing import Final

from feefifod.errors import BadInput

_WRAP: Final = 2**32
_HEADER: Final = struct.Struct("<4s22xHH")
_MAGIC: Final = b"PK\3\4"


def mend_offsets(archive: zipfile.ZipFile) -> None:
    """Put right where members begin, where the directory has it without its upper bits.

    Raises:
        BadInput: there is no way in which all of them fit.
    """
    infos = archive.infolist()
    # The library takes what is missing for something that lies before the zip, and adds it to all places.
    if not infos or min(info.header_offset for info in infos) < _WRAP:
        return
    least = 0
    for info in infos:
        place = info.header_offset % _WRAP
        while place < least:
            place += _WRAP
        info.header_offset = place
        least = place + _HEADER.size + len(_encode(info)) + info.compress_size
    if least > archive.start_dir or not all(_begins_at(archive, info) for info in (infos[0], infos[-1])):
        raise BadInput(
            "it is larger than 4 GiB and its directory does not say where its members are (no zip64)",
            remedy="Make it again with a tool that knows zip64, such as ditto or zip, or unpack it there",
        )


def _encode(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace")


def _begins_at(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    """Tell whether a member's own header is where it should be."""
    file = archive.fp
    if file is None:
        return False
    file.seek(info.header_offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return False
    magic, length, _ = _HEADER.unpack(header)
    return magic == _MAGIC and file.read(length) == _encode(info)
