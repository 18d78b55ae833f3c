"""A process that uses the embedded servers, for tests that kill it: `user.py STATE postgres|both [supervise]`.

Prints one line of JSON when the servers answer, and leaves when its standard input ends.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import anyio.to_thread

from feefifod.config.settings import EmbeddedSettings
from feefifod.servers import look, use_servers


async def use(state: Path, *, questdb: bool, supervise: bool) -> None:
    settings = EmbeddedSettings(http_port=0, pg_wire_port=0, health_port=0, postgres_port=0, heap_mib=512)
    async with use_servers(settings, state, questdb=questdb) as servers, anyio.create_task_group() as group:
        if supervise:
            group.start_soon(servers.supervise)
        status = look(state)
        answer = {
            "user": os.getpid(),
            "questdb": status.questdb and status.questdb.pid,
            "postgres": status.postgres and status.postgres.pid,
            "questdb_url": servers.endpoints.questdb_url,
            "postgres_dsn": servers.endpoints.postgres_dsn,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(lambda: use(Path(sys.argv[1]), questdb=sys.argv[2] == "both", supervise="supervise" in sys.argv))
