"""Ports on loopback."""

from __future__ import annotations

import random
import socket
from typing import Final

import psutil

HOST: Final = "127.0.0.1"
# Below the ports that kernels give to clients: a client that keeps asking for a server that is down could otherwise
# be given that very port, connect to itself, and keep the server out.
_FREE_RANGE: Final = range(20_000, 32_000)
_ATTEMPTS: Final = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def find_free(count: int) -> list[int]:
    """Find different free ports. Another process may still be faster: who uses them must be ready to ask again."""
    found = [port for port in random.sample(_FREE_RANGE, _ATTEMPTS) if is_free(port)]
    if len(found) < count:
        raise OSError("no free port on loopback")
    return found[:count]


def name_holder(port: int) -> str:
    """Name the process that listens on a port, as far as the system lets us see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "a process of another user"
