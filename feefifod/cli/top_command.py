"""`feefifod top`: a running daemon, live."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from feefifod.cli.console import make_console
from feefifod.errors import ConfigError, Refused, Unavailable
from feefifod.network import explain

if TYPE_CHECKING:
    from feefifod.cli.top_view import Look

_ANSWER_SECONDS: Final = 15.0


@click.command()
@click.option(
    "--every", type=click.FloatRange(min=0.2, max=60), default=1.0, show_default=True, help="Seconds between two looks."
)
@click.pass_context
def top(ctx: click.Context, every: float) -> None:
    """Watch a running daemon: files, work in flight, rows per second, servers, schedules and the last errors.

    Ctrl-C ends it.

    It asks the daemon's status endpoint ([http] listen). Where there is no terminal it shows one look and ends.

    \b
    Example:
      feefifod top
      feefifod top --every 5
    """
    from rich.live import Live  # noqa: PLC0415 - help must not wait for it

    from feefifod.cli.reach import read_settings  # noqa: PLC0415 - the same
    from feefifod.cli.top_view import View  # noqa: PLC0415 - the same

    listen = read_settings(ctx).http.listen
    if not listen:
        raise ConfigError(
            "the status endpoint is off", where="http.listen", remedy='Set it, for instance to "127.0.0.1:8765"'
        )
    view, console = View(), make_console()
    first = view.render(look_at(listen))
    if not console.is_terminal:
        console.print(first)
        return
    with Live(first, console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(view.render(look_at(listen)), refresh=True)


def look_at(listen: str) -> Look:
    """Ask the daemon that listens at `address:port`.

    Raises:
        Unavailable: none answers.
        Refused: something else answers.
    """
    from feefifod.cli.top_view import Look, read_metrics  # noqa: PLC0415 - help must not wait for it

    try:
        status = json.loads(_get(listen, "/status"))
        reasons = json.loads(_get(listen, "/readyz")).get("reasons", [])
    except (ValueError, AttributeError):
        raise Refused(
            "what answers there is not a daemon of feefifod",
            where=f"http://{listen}",
            remedy="Set [http] listen to a port of its own, in the configuration of the daemon too",
        ) from None
    metrics = read_metrics(_get(listen, "/metrics").decode())
    return Look(time.monotonic(), status, metrics, tuple(reasons))


def _get(listen: str, path: str) -> bytes:
    parts = urlsplit(f"http://{listen}")
    # Not urllib: it would ask a proxy of the environment. A name that means every address is no place to ask.
    host = "127.0.0.1" if parts.hostname in ("0.0.0.0", None) else parts.hostname  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, parts.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        cause = explain(error, host)
        why = f"no daemon answers: {cause.why if cause else error}"
        raise Unavailable(why, where=f"http://{listen}", remedy="Start it: feefifod run") from None
    finally:
        connection.close()
