"""A disk as rclone, s3fs, CIFS, exFAT or a share of a virtual machine shows it, served by a process through /dev/fuse.

It has no hard links, no flags at a rename and, where wanted, less still. What lies on it lies in a folder beside it,
so that a test can look there after its end.
"""

# Any bytes are a name.
# ruff: noqa: PTH101, PTH102, PTH104, PTH112, PTH119, PTH208

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct("<IIQQIIII")
_ATTRIBUTES: Final = struct.Struct("<QQQQQQIIIIIIIIII")
_CLOSED: Final = {"lost+found": errno.EACCES, "broken": errno.EIO, "stale": errno.ESTALE}
"""Folders that cannot be listed, whoever asks."""
_FORBIDDEN: Final = b'<>:"\\|?*'
_MOST_WRITE: Final = 128 * 1024


class Plain:
    """Serves one folder; `traits` are `no-utime`, `no-sync`, `no-chmod`, `names` and `no-room`.

    Nodes are known by their paths, as file systems of the network do.
    """

    def __init__(self, root: Path, traits: frozenset[str]) -> None:
        self._root = os.fsencode(root)
        self._traits = traits
        self._paths: dict[int, bytes] = {1: b""}
        self._nodes: dict[bytes, int] = {b"": 1}
        self._next = 2
        self._calls: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._look_up,
            6: _forbid,
            13: _forbid,
            3: lambda node, _: struct.pack("<QII", 0, 0, 0) + self._attributes(node),
            4: self._set_attributes,
            9: self._make_folder,
            10: lambda node, body: self._remove(node, body, os.unlink),
            11: lambda node, body: self._remove(node, body, os.rmdir),
            12: self._rename,
            14: self._open,
            15: self._read,
            16: self._write,
            17: lambda *_: self._room(),
            18: lambda _, body: self._close(body),
            20: lambda _, body: self._sync(body),
            25: lambda *_: b"",
            26: lambda *_: struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 10, _MOST_WRITE, 1, 32, 0, 0),
            27: self._open_folder,
            28: self._list,
            29: lambda *_: b"",
            30: lambda *_: self._sync_folder(),
            35: self._create,
        }

    def answer(self, request: bytes) -> bytes | None:
        """Answer one request of the kernel; None to those that want no answer."""
        length, call, unique, node, *_ = _HEADER.unpack_from(request)
        if call in (2, 42):
            return None
        try:
            result = self._calls.get(call, _refuse)(node, request[_HEADER.size : length])
            return struct.pack("<IiQ", 16 + len(result), 0, unique) + result
        except OSError as error:
            return struct.pack("<IiQ", 16, -(error.errno or errno.EIO), unique)

    def _path(self, node: int) -> bytes:
        return self._root + self._paths[node]

    def _child(self, node: int, name: bytes) -> bytes:
        if "names" in self._traits and any(letter in _FORBIDDEN or letter < 32 for letter in name):
            raise OSError(errno.EINVAL, "")
        place = self._paths[node] + b"/" + name
        if "names" in self._traits:
            folder = self._path(node)
            same = [other for other in os.listdir(folder) if other.lower() == name.lower()]
            place = self._paths[node] + b"/" + (same[0] if same else name)
        return place

    def _attributes(self, node: int) -> bytes:
        status = os.lstat(self._path(node))
        times = [status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns]
        whole, parts = [ns // 10**9 for ns in times], [ns % 10**9 for ns in times]
        links, owner = status.st_nlink, (status.st_uid, status.st_gid)
        return _ATTRIBUTES.pack(
            node, status.st_size, -(-status.st_size // 512), *whole, *parts, status.st_mode, links, *owner, 0, 4096, 0
        )

    def _entry(self, place: bytes) -> bytes:
        os.lstat(self._root + place)
        if place not in self._nodes:
            self._nodes[place], self._paths[self._next] = self._next, place
            self._next += 1
        node = self._nodes[place]
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _look_up(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body[:-1]))

    def _set_attributes(self, node: int, body: bytes) -> bytes:
        valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode = struct.unpack_from("<IIQQQQQQIIII", body)
        path = self._path(node)
        if valid & 8:
            os.truncate(path, size)
        if valid & 1:
            if "no-chmod" in self._traits:
                raise OSError(errno.EPERM, "")
            os.chmod(path, mode & 0o7777)
        if valid & 0x30:
            if "no-utime" in self._traits:
                raise OSError(errno.EPERM, "")
            if not valid & 0x180:
                os.utime(path, ns=(atime * 10**9 + atime_ns, mtime * 10**9 + mtime_ns))
            else:
                os.utime(path)
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _make_folder(self, node: int, body: bytes) -> bytes:
        place = self._child(node, body[8:-1])
        os.mkdir(self._root + place)
        return self._entry(place)

    def _remove(self, node: int, body: bytes, remove: Callable[[bytes], None]) -> bytes:
        place = self._child(node, body[:-1])
        remove(self._root + place)
        self._nodes.pop(place, None)
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        (other,) = struct.unpack_from("<Q", body)
        old, new = body[8:-1].split(b"\0")
        source, target = self._child(node, old), self._child(other, new)
        os.rename(self._root + source, self._root + target)
        moved = self._nodes.pop(source, None)
        self._nodes.pop(target, None)
        if moved is not None:
            self._nodes[target], self._paths[moved] = moved, target
        return b""

    def _open(self, node: int, body: bytes) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        return struct.pack("<QII", os.open(self._path(node), flags & ~(os.O_NOFOLLOW | os.O_EXCL)), 0, 0)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", body)
        if "no-room" in self._traits:
            raise OSError(errno.ENOSPC, "")
        place = self._child(node, body[16:-1])
        fd = os.open(self._root + place, flags | os.O_CREAT, mode & 0o7777)
        return self._entry(place) + struct.pack("<QII", fd, 0, 0)

    def _read(self, _: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(fd, size, offset)

    def _write(self, _: int, body: bytes) -> bytes:
        fd, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(fd, body[40 : 40 + size], offset), 0)

    def _close(self, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _sync(self, body: bytes) -> bytes:
        if "no-sync" in self._traits:
            raise OSError(errno.EINVAL, "")
        os.fsync(struct.unpack_from("<Q", body)[0])
        return b""

    def _sync_folder(self) -> bytes:
        if "no-sync" in self._traits:
            raise OSError(errno.EINVAL, "")
        return b""

    def _room(self) -> bytes:
        room = os.statvfs(self._root)
        counts = (room.f_blocks, room.f_bfree, room.f_bavail, room.f_files, room.f_ffree)
        return struct.pack("<QQQQQIIII24x", *counts, room.f_bsize, 255, room.f_frsize, 0)

    def _open_folder(self, node: int, _: bytes) -> bytes:
        if code := _CLOSED.get(os.path.basename(os.fsdecode(self._paths[node]))):
            raise OSError(code, "")
        return struct.pack("<QII", 0, 0, 0)

    def _list(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        found = b""
        names = [b".", b"..", *sorted(os.listdir(self._path(node)))]
        for place, name in enumerate(names[offset:], offset + 1):
            is_folder = os.path.isdir(self._path(node) + b"/" + name)
            item = struct.pack("<QQII", place + 10**6, place, len(name), 4 if is_folder else 8) + name
            item += bytes(-len(item) % 8)
            if len(found) + len(item) > size:
                break
            found += item
        return found


def _refuse(*_: object) -> bytes:
    raise OSError(errno.ENOSYS, "")


def _forbid(*_: object) -> bytes:
    """Refuse a link of any kind."""
    raise OSError(errno.EPERM, "")


def serve(root: Path, mountpoint: Path, traits: frozenset[str]) -> None:
    """Mount and serve until it is unmounted."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"plain", os.fsencode(mountpoint), b"fuse.plain", 2 | 4, options):
        code = ctypes.get_errno()
        raise SystemExit(f"mount: {os.strerror(code)}")
    plain = Plain(root, traits)
    while True:
        try:
            request = os.read(fd, _MOST_WRITE + 4096)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            return
        if (reply := plain.answer(request)) is not None:
            with contextlib.suppress(OSError):  # The one who asked may be dead.
                os.write(fd, reply)


@contextmanager
def plain_disk(folder: Path, *traits: str) -> Iterator[subprocess.Popen[bytes]]:
    """Mount such a disk on `folder`; what is there lies in `folder.real`. Skips where that is not allowed.

    Killing the process that is yielded leaves a mount without anything behind it, as a crash of rclone does.
    """
    import pytest  # noqa: PLC0415 - the process that serves does not need it

    real = folder.with_name(f"{folder.name}.real")
    for path in (folder, real):
        path.mkdir(parents=True, exist_ok=True)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse here that may be used")
    command = [sys.executable, __file__, str(real), str(folder), *traits]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 20
    try:
        while not os.path.ismount(folder):
            if server.poll() is not None and server.stderr is not None:
                pytest.skip(f"a disk of ours is not allowed here: {server.stderr.read().decode().strip()[-200:]}")
            assert time.monotonic() < deadline, "it is not mounted"
            time.sleep(0.02)
        yield server
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True, timeout=20)
        server.kill()
        server.communicate(timeout=10)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:]))
