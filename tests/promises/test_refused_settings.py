"""A setting that a server refuses ends the start at once, with the remedy; what comes up later is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import samples
from tests.support.daemon import World
from tests.support.fault_proxy import FaultProxy


@contextmanager
def web_server() -> Iterator[str]:
    """Serve a page of welcome, whatever is asked for; gives the URL."""

    class Welcome(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!DOCTYPE html><title>Welcome to nginx!</title>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Welcome)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", ["run", "run-once"])
def test_a_web_server_in_the_place_of_questdb(world: World, command: str) -> None:
    file = world.drop("XBTUSD_60.csv", samples.file(10))
    with web_server() as url:
        world.configure(databases={"questdb": {**world.questdb, "url": url}})
        process = world.run(command, code=1)

    assert "what answers there is not a QuestDB" in process.text
    assert "Correct url in [databases.questdb]" in process.text
    assert file.exists()


def test_a_password_that_is_changed_while_the_daemon_runs(world: World, questdb_proxy: FaultProxy) -> None:
    """The daemon says so and waits; when it is let in again, it goes on."""
    daemon = world.start()
    world.drop("XBTUSD_60.csv", samples.file(100))
    world.wait_finished(1)
    questdb_proxy.answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    world.drop("ETHUSD_60.csv", samples.file(100, seed=2))
    [waiting, *_] = daemon.wait_for("waiting")
    assert "does not let us in" in waiting["reason"]
    questdb_proxy.answer = b""
    world.wait_finished(2)
    daemon.stop()
    world.check()
