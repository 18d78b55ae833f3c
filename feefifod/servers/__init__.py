"""The embedded pair: a real QuestDB and a real PostgreSQL, started on need and shared by every command on one state."""

from __future__ import annotations

from feefifod.servers.daemon_lock import DaemonInfo, hold_daemon, read_daemon
from feefifod.servers.pair import Endpoints, Servers, keep_up, take_down, use_servers
from feefifod.servers.starting import Start, explain_absence, find_start
from feefifod.servers.status import PairStatus, ServerStatus, describe_access, find_embedded_questdb, look

__all__ = [
    "DaemonInfo",
    "Endpoints",
    "PairStatus",
    "ServerStatus",
    "Servers",
    "Start",
    "describe_access",
    "explain_absence",
    "find_embedded_questdb",
    "find_start",
    "hold_daemon",
    "keep_up",
    "look",
    "read_daemon",
    "take_down",
    "use_servers",
]
