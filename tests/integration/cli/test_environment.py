"""What the environment of a command says about other servers and other programs does not reach ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from feefifod.servers import Endpoints
from tests.support.project import ROOT, Project, candle

NOWHERE = "http://127.0.0.1:9"
HOSTILE = {
    "PGSSLMODE": "require",
    "PGHOST": "192.0.2.1",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "nothing",
    "PGPASSWORD": "wrong",
    "PGPASSFILE": "/nonexistent",
    "PGSERVICE": "elsewhere",
    "PGSERVICEFILE": "/nonexistent",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCONNECT_TIMEOUT": "soon",
    "PGSSLROOTCERT": "/nonexistent",
    "PGSSLCERT": "/nonexistent",
    "PGSSLKEY": "/nonexistent",
    "PGSSLCRL": "/nonexistent",
    "PGSSLNEGOTIATION": "none",
    "PGSSLMINPROTOCOLVERSION": "x",
    "PGOPTIONS": "-c nonsense=1",
    "PGTZ": "Mars",
    "QDB_CLIENT_CONF": "tcp::addr=192.0.2.1:1;",
    "QDB_HTTP_USER": "evil",
    "QDB_HTTP_PASSWORD": "evil",
    "QDB_CAIRO_ROOT": "/nonexistent",
    "JAVA_TOOL_OPTIONS": "-Xnonsense",
    "_JAVA_OPTIONS": "-Xnonsense",
    "JDK_JAVA_OPTIONS": "-Xnonsense",
    "JAVA_HOME": "/nonexistent",
    "CLASSPATH": "/nonexistent",
    "LD_LIBRARY_PATH": "/nonexistent",
    "TZ": "Mars/Olympus",
    "LC_ALL": "xx_YY.nonsense",
    "LANG": "xx",
    "TMPDIR": "/nonexistent",
    "NETRC": "/nonexistent",
    "SSL_CERT_FILE": "/nonexistent",
} | {name: NOWHERE for word in ("HTTP", "HTTPS", "ALL") for name in (f"{word}_PROXY", f"{word}_proxy".lower())}


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name.upper() != "NO_PROXY"}
    return subprocess.run(
        [sys.executable, "-m", "feefifod", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_embedded_servers_work_in_a_hostile_environment(embedded_project: Project) -> None:
    embedded_project.drop("XBTUSD_60.csv", candle(1_499_997_600))
    done = run(embedded_project.folder, "run-once", **HOSTILE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (embedded_project.folder / "ingested/ohlcv/XBTUSD_60.csv").exists()


@pytest.mark.parametrize("lane", ["ilp", "auto"])
def test_configured_urls_count_alone(project: Project, pair: Endpoints, lane: str) -> None:
    with (project.folder / "config.toml").open("a") as file:
        file.write(f'pipeline.lane = "{lane}"\n')
    project.drop("XBTUSD_60.csv", candle(1_499_997_600))
    for command in (["run-once"], ["status"], ["query", "select 1"], ["verify"]):
        done = run(project.folder, *command, **HOSTILE)
        assert done.returncode == 0, (command, done.stdout[-1000:], done.stderr[-2000:])
    assert (project.folder / "ingested/ohlcv/XBTUSD_60.csv").exists()


def test_a_password_that_the_url_does_not_hold_comes_from_where_postgres_users_keep_it(
    project: Project, postgres_dsn: str
) -> None:
    password = postgres_dsn.split(":")[2].partition("@")[0]
    config = project.folder / "config.toml"
    config.write_text(config.read_text().replace(f":{password}@", "@"))
    file = project.folder / "passwords"
    file.write_text(f"*:*:*:*:{password}\n")
    file.chmod(0o600)
    for given in ({"PGPASSWORD": password}, {"PGPASSFILE": str(file)}):
        done = run(project.folder, "run-once", **given)
        assert done.returncode == 0, done.stderr[-2000:]
        assert password not in done.stdout + done.stderr
