"""A running daemon tells a webhook and a command of trouble and of its end, whatever they answer."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from feefifod.alerts import deliver
from feefifod.config import AlertSettings
from tests.support.daemon import World, wait_until


class Hook(ThreadingHTTPServer):
    """A webhook that answers with these, the last one for ever."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.heard: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook/s3cr3t"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        if answer == 200:
            self.server.heard.append(json.loads(body))
        self.send_response(answer)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook(503, 200)
    thread = threading.Thread(target=hook.serve_forever, args=(0.02,))
    thread.start()
    yield hook
    hook.shutdown()
    thread.join()
    hook.server_close()


def test_trouble_and_its_end_reach_both(world: World, hook: Hook) -> None:
    heard = world.root / "heard.jsonl"
    program = f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read() + chr(10))"
    command = f'{sys.executable} -c "{program}"'
    world.configure(alerts={"webhook_url": hook.url, "command": command, "check_seconds": 0.3})
    daemon = world.start()
    daemon.wait_for("watching")

    def told(name: str, state: str) -> list[dict[str, Any]]:
        return [alert for alert in hook.heard if (alert["name"], alert["state"]) == (name, state)]

    world.drop("ADAUSD_60.csv", b"not,a,candle\n")
    [rejected] = wait_until(lambda: told("rejected", "happened"), what="the rejected file")
    assert "feefifod rejects" in rejected["text"]

    world.data.rename(world.root / "away")
    [away] = wait_until(lambda: told("data", "raised"), what="the folder that is away")
    assert str(world.data) in away["text"]
    (world.root / "away").rename(world.data)
    wait_until(lambda: told("data", "resolved"), what="the end of it")
    wait_until(
        lambda: [json.loads(line) for line in heard.read_text().splitlines()] == hook.heard,
        what="the command to hear the same",
    )
    daemon.stop()
    assert "s3cr3t" not in world.logs


async def test_what_cannot_be_delivered_is_not_raised(hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    """A hook that is gone, one that refuses, one that redirects; a command that fails, or is none."""
    for settings, answers in (
        ({"webhook_url": "http://127.0.0.1:1/x"}, [200]),
        ({"webhook_url": hook.url}, [500]),
        ({"webhook_url": hook.url}, [404]),
        ({"webhook_url": hook.url}, [302]),
        ({"command": "/bin/false"}, [200]),
        ({"command": "/no/such/program"}, [200]),
    ):
        hook.answers = answers
        assert not await deliver({"text": "x"}, AlertSettings.model_validate(settings), pause_seconds=0.01)
    hook.answers = [500, 200]
    assert await deliver({"text": "x"}, AlertSettings.model_validate({"webhook_url": hook.url}), pause_seconds=0.01)
    assert hook.heard == [{"text": "x"}]
    assert await deliver({"text": "x" * 200_000}, AlertSettings.model_validate({"command": "/bin/true"})), (
        "unread is fine"
    )
