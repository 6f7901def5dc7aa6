"""What an operation may use: its line in the log, its time, its end."""

from __future__ import annotations

import threading

import pytest

from cohost.provider.context import OperationCancelled
from cohost.provider.engine_log import EngineLog
from tests.unit.provider_context import Operation


def test_a_wait_ends_when_the_engine_asks_and_says_what_the_next_up_does() -> None:
    operation = Operation()
    polls = operation.context().polls("waiting", first_s=0.01)
    assert [next(polls) for _ in range(3)] == [0, 1, 2]
    operation.cancelled = True
    with pytest.raises(OperationCancelled, match="cancelled while waiting; the next `up` finishes it"):
        next(polls)


def test_a_pause_does_not_outlast_the_operation() -> None:
    operation = Operation()
    context = operation.context()
    pausing = threading.Thread(target=context.pause, args=(600.0,))
    pausing.start()
    operation.cancelled = True
    pausing.join(60)
    assert not pausing.is_alive()


def test_a_wait_ends_with_its_time_and_names_the_option_that_gives_more() -> None:
    polls = Operation(seconds=0.2).context().polls("waiting", first_s=0.3)
    assert next(polls) == 0
    with pytest.raises(OperationCancelled, match=r"the time for waiting is over \(customTimeouts"):
        next(polls)


def test_progress_is_thinned_out_but_its_end_always_shows() -> None:
    operation = Operation()
    context = operation.context()
    for count in range(1000):
        context.status(f"{count}/1000")
    context.status("1000/1000", last=True)
    assert operation.said[0] == "0/1000"
    assert operation.said[-1] == "1000/1000"
    assert len(operation.said) < 500


def test_what_cannot_be_shown_ends_no_operation(capsys: pytest.CaptureFixture[str]) -> None:
    log = EngineLog()
    log("info", "before an engine is known", urn="", ephemeral=False)
    log.connect("127.0.0.1:1")
    log("warning", "after it is gone", urn="", ephemeral=True)
    shown = capsys.readouterr().err
    assert "info: before an engine is known" in shown
    assert "warning: after it is gone" in shown
