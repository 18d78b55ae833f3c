"""All that a daemon tells systemd, in order, and what it does on a signal."""

from __future__ import annotations

import signal
import time

from tests.integration.daemon.conftest import Systemd, ask
from tests.support import samples
from tests.support.daemon import World, wait_until


def test_from_start_to_end(world: World, systemd: Systemd, port: int) -> None:
    """Ready only when files can be taken; fed all the time; a reload, a drain."""
    world.drop("XBTUSD_60.csv", samples.file(500, interval=60))
    daemon = world.start(NOTIFY_SOCKET=systemd.path, WATCHDOG_USEC="600000")
    daemon.wait_for("watching")
    wait_until(lambda: "READY=1" in systemd.messages, what="READY=1")
    first = systemd.states
    assert any(state.startswith("EXTEND_TIMEOUT_USEC=") for state in first[: first.index("READY=1")])
    assert not any(state.startswith(("STOPPING", "RELOADING")) for state in first)
    assert ask(port, "/readyz").status == 200

    world.wait_finished(1)
    wait_until(lambda: any("1 file and 500 rows" in state for state in systemd.states), what="a telling status")
    fed = systemd.messages.count("WATCHDOG=1")
    wait_until(lambda: systemd.messages.count("WATCHDOG=1") > fed + 2, what="three more signs of life")

    daemon.signal(signal.SIGHUP)
    daemon.wait_for("reloaded")
    wait_until(lambda: systemd.messages.count("READY=1") == 2, what="READY=1 after the reload")
    [reloading] = [message for message in systemd.messages if message.startswith("RELOADING=1")]
    assert reloading.split("\n")[1].startswith("MONOTONIC_USEC=")
    assert systemd.messages.index(reloading) < len(systemd.messages) - systemd.messages[::-1].index("READY=1")

    daemon.stop()
    last = [state for state in systemd.states if state.startswith(("READY", "RELOADING", "STOPPING"))]
    assert last == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    after = systemd.messages[systemd.messages.index("STOPPING=1") :]
    assert any(message.startswith("EXTEND_TIMEOUT_USEC=") for message in after)


def test_a_reload_changes_what_can_change(world: World, port: int) -> None:
    """Intervals and the log level change at once; a folder does not, and that is said; a bad file changes nothing."""
    world.configure(watch={"intervals": [60]})
    daemon = world.start("run", "--reload-on-hangup")
    daemon.wait_for("watching")
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60))
    world.drop("XBTUSD_240.csv", samples.file(40, interval=240))
    world.wait_finished(1)
    assert (world.data / "XBTUSD_240.csv").exists()

    world.config.write_text("watch.tiers = ['TIER9']\n")
    daemon.signal(signal.SIGHUP)
    [refused] = daemon.wait_for("reload_refused")
    assert "watch.tiers" in refused["reason"]
    assert "config.toml:1" in refused["where"]
    assert daemon.events("reloaded") == []

    schedule = {"name": "never", "cron": "0 0 1 1 *", "source": "massive", "ticker": "BTC"}
    world.sections["schedules"] = [schedule]
    world.configure(watch={"intervals": [60, 240]}, paths={"rejected": "elsewhere"}, log={"level": "info"})
    daemon.signal(signal.SIGHUP)
    [reloaded] = daemon.wait_for("reloaded")
    [incomplete] = daemon.wait_for("reload_incomplete")
    assert set(reloaded["changed"]) >= {"watch.intervals", "log.level"}
    assert incomplete["unchanged"] == ["paths.rejected"]

    world.wait_finished(2)
    told = wait_until(lambda: ask(port, "/status").document["schedules"], what="the new schedule")
    assert [item["name"] for item in told] == ["never"]
    before = len(daemon.text)
    world.drop("ETHUSD_240.csv", samples.file(40, interval=240))
    world.wait_finished(3)
    assert '"level": "debug"' not in daemon.text[before:]
    daemon.stop()
    world.check()


def test_a_hangup_during_the_start_is_kept_for_later(world: World) -> None:
    """It must not end the process, as it would by default."""
    daemon = world.start("run", "--reload-on-hangup")
    daemon.wait_for("starting")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("reloaded")
    daemon.stop()


def test_without_systemd_a_hangup_drains_as_a_closed_terminal_should(world: World) -> None:
    """The kernel and the shell both tell of it: the second one does not cut."""
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60))
    daemon = world.start()
    daemon.wait_for("watching")
    world.wait_finished(1)

    daemon.signal(signal.SIGHUP)
    daemon.wait_for("draining")
    daemon.signal(signal.SIGHUP)

    assert daemon.wait(20) == 0, daemon.text[-3000:]
    assert daemon.events("reloaded") == daemon.events("cut") == []
    world.check()


def test_what_nohup_started_outlives_its_terminal(world: World) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What nohup does, and children inherit.
    try:
        daemon = world.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    daemon.wait_for("watching")

    daemon.signal(signal.SIGHUP)
    world.drop("XBTUSD_60.csv", samples.file(50, interval=60))
    world.wait_finished(1)

    assert daemon.events("draining") == daemon.events("reloaded") == []
    daemon.stop()


def test_a_changed_file_is_read_again_when_that_is_asked_for(world: World, systemd: Systemd) -> None:
    """By the same way as SIGHUP: systemd is told, and a wrong file changes nothing."""
    world.configure(watch={"intervals": [60], "config": True})
    daemon = world.start(NOTIFY_SOCKET=systemd.path)
    daemon.wait_for("watching")

    world.config.write_text("watch.tiers = ['TIER9']\n")
    daemon.wait_for("reload_refused")
    world.configure(watch={"intervals": [60, 240], "config": False})
    [reloaded] = daemon.wait_for("reloaded")
    assert set(reloaded["changed"]) == {"watch.config", "watch.intervals"}
    world.drop("XBTUSD_240.csv", samples.file(40, interval=240))
    world.wait_finished(1)
    world.configure(watch={"intervals": [240]})
    time.sleep(6)

    assert len(daemon.events("reloaded")) == 1, "it was switched off"
    daemon.stop()
    told = [state for state in systemd.states if state.startswith(("READY", "RELOADING", "STOPPING"))]
    assert told == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
