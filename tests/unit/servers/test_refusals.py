"""What servers say when they do not start becomes one sentence, a remedy, and a decision: again, or not."""

from __future__ import annotations

import pytest

from feefifod.errors import Refused, Unavailable
from feefifod.servers.refusals import explain_start

_JAR = "Error occurred during initialization of boot layer\njava.lang.module.FindException: Error reading module: x.jar"
_MAPS = "java.lang.UnsatisfiedLinkError: /x/libquestdb.so: failed to map segment from shared object\n\tat java.base/x"


@pytest.mark.parametrize(
    ("said", "kind", "why"),
    [
        ('initdb: error: could not create directory "/x": No space left on device', Unavailable, "disk is full"),
        ('initdb: error: could not create directory "/x": Permission denied', Refused, "no right"),
        ('initdb: error: directory "/x" exists but is not empty', Refused, "not empty"),
        ("initdb: error: cannot be run as root", Refused, "cannot run as this user"),
        ("x/initdb: error while loading shared libraries: libxml2.so.2: cannot open shared object", Refused, "library"),
        ("FATAL:  could not create shared memory segment: No space left on device", Refused, "shared memory"),
        ('could not resize shared memory segment "/P.1": No space left on device', Refused, "shared memory"),
        ('FATAL:  data directory "/x" has invalid permissions\nDETAIL:  u=rwx', Refused, "another user"),
        ('FATAL:  data directory "/x" has wrong ownership', Refused, "another user"),
        ("FATAL:  database files are incompatible with server", Refused, "another version"),
        ("PANIC:  could not locate a valid checkpoint record at 0/15", Refused, "damaged"),
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use', Unavailable, "port was taken"),
        ("Invalid maximum heap size: -Xmx9999999999m\nError: Could not create the JVM", Refused, "heap is larger"),
        ("Could not reserve enough space for 9999KB object heap", Refused, "heap is larger"),
        ("There is insufficient memory for the Java Runtime Environment", Unavailable, "too little memory"),
        (_JAR, Refused, "jar"),
        (_MAPS, Refused, "noexec"),
        ("2026-11-25T10:00:00.1Z E i.q.x could not open [errno=24]", Refused, "too few open files"),
        ("2026-11-25T10:00:00.1Z C i.q.x it is a quite new trouble", Unavailable, "it is a quite new trouble"),
        ("", Unavailable, "without a word"),
    ],
)
def test_the_end_of_a_log_is_explained(said: str, kind: type[Exception], why: str) -> None:
    error = explain_start("server", said, "/state/servers/server.log")

    assert type(error) is kind
    assert why in error.why
    assert error.remedy
    assert "\n" not in str(error)
