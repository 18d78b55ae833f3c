"""Stopped, cut or killed in the middle of a batch: the next start goes on, and nothing is lost or doubled."""

from __future__ import annotations

import signal
import time

from tests.support import samples
from tests.support.daemon import EXIT_SECONDS, World
from tests.support.fault_proxy import FaultProxy

_NAMES = ("XBTUSD_1.csv", "ETHUSD_1.csv", "SOLEUR_1.csv")
_ROWS = 20_000


def _drop_long_batch(world: World) -> None:
    """Three files of two weeks, in windows of a thousand rows: sixty windows."""
    world.configure(pipeline={"window_rows": 1_000, "lane": "ilp"})
    for seed, name in enumerate(_NAMES):
        world.drop(name, samples.file(_ROWS, seed=seed))


def _checkpoint(world: World) -> int:
    instant: int = world.ask("SELECT max(checkpoint_seconds) AS at FROM batch")[0]["at"]
    return instant


def _assert_resumed(world: World, checkpoint: int) -> None:
    """The second process began where the first one's checkpoint was, and sent no row from before it."""
    daemon = world.processes[-1]
    assert [event["resumed_at"] for event in daemon.events("batch_started")] == [checkpoint]
    before = len(_NAMES) * (checkpoint - samples.START) // 60
    assert 0 < before < len(_NAMES) * _ROWS
    assert sum(event["rows"] for event in daemon.events("window_sent")) == len(_NAMES) * _ROWS - before


def test_sigterm_in_mid_batch_then_restart(world: World) -> None:
    _drop_long_batch(world)
    daemon = world.start()
    daemon.wait_for("window_sent", count=5)
    daemon.stop()
    assert sorted(path.name for path in world.data.iterdir()) == sorted(_NAMES), "nothing may be moved yet"
    world.check(finished=False)
    checkpoint = _checkpoint(world)

    daemon = world.start()
    world.wait_finished(3)
    daemon.stop()
    world.check()
    _assert_resumed(world, checkpoint)


def test_kill_in_mid_batch_then_restart(world: World) -> None:
    _drop_long_batch(world)
    daemon = world.start()
    daemon.wait_for("window_sent", count=5)
    daemon.kill()
    checkpoint = _checkpoint(world)

    daemon = world.start()
    world.wait_finished(3)
    daemon.stop()
    world.check()
    _assert_resumed(world, checkpoint)


def test_file_out_of_order_costs_the_others_no_checkpoint(world: World) -> None:
    """It is put in order again by the next start; what is in order goes on from where it was."""
    _drop_long_batch(world)
    lines = samples.rows(500, seed=9)
    world.drop("ADAUSD_1.csv", samples.text(lines[::-1]))
    daemon = world.start()
    daemon.wait_for("window_sent", count=5)
    daemon.kill()
    checkpoint = _checkpoint(world)

    daemon = world.start()
    world.wait_finished(4)
    daemon.stop()
    world.check()
    assert [event["resumed_at"] for event in daemon.events("batch_started")] == [checkpoint, None]


def test_killed_again_and_again(world: World) -> None:
    _drop_long_batch(world)
    for kill in range(4):
        daemon = world.start()
        daemon.wait_for("window_sent", count=3 + 2 * kill)
        daemon.kill()
    world.run("run-once")
    world.check()


def test_kill_between_proof_and_move(world: World) -> None:
    """The ledger says done, the file is still in the data folder: it is moved, and not loaded again."""
    world.drop("XBTUSD_1.csv", samples.file(2_000))
    world.ingested.parent.touch()  # A file in place of the folder: nothing can be moved there.
    daemon = world.start()
    daemon.wait_for("trouble")
    daemon.kill()
    assert world.ask("SELECT state, ending FROM file") == [{"state": "moving", "ending": "done"}]
    world.ingested.parent.unlink()
    daemon = world.start()
    world.wait_finished(1)
    daemon.stop()
    world.check()
    assert daemon.events("window_sent") == []


def test_second_signal_cuts(world: World, questdb_proxy: FaultProxy) -> None:
    _drop_long_batch(world)
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    questdb_proxy.mode = "hang"
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("draining")
    cut = time.monotonic()
    daemon.signal(signal.SIGTERM)
    daemon.wait(EXIT_SECONDS)
    assert time.monotonic() - cut < 8
    questdb_proxy.mode = "pass"
    world.run("run-once")
    world.check()


def test_sigterm_while_questdb_hangs_ends_in_time(world: World, questdb_proxy: FaultProxy) -> None:
    _drop_long_batch(world)
    daemon = world.start()
    daemon.wait_for("window_sent", count=3)
    questdb_proxy.mode = "hang"
    daemon.stop()
    questdb_proxy.mode = "pass"
    world.run("run-once")
    world.check()


def test_sigterm_before_questdb_was_ever_there_ends_in_time(world: World, questdb_proxy: FaultProxy) -> None:
    questdb_proxy.mode = "cut"
    daemon = world.start()
    daemon.wait_for("waiting")
    daemon.stop()
    questdb_proxy.mode = "pass"
    world.drop("XBTUSD_1.csv", samples.file(100))
    world.run("run-once")
    world.check()


def test_second_daemon_on_the_same_state_names_the_first(world: World) -> None:
    daemon = world.start()
    daemon.wait_for("watching")
    second = world.run("run", code=2)
    assert str(daemon.pid) in second.text
    daemon.stop()
