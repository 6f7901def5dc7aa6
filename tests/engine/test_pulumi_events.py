"""The real engine's event log, read in the words of the embedded engine.

The logs in event_logs/ were written by pulumi 3.260.0 on 2026-11-24; debug lines and the lines of a traceback that
name files are left out.
"""

from __future__ import annotations

import json
from pathlib import Path

from cohost.engine import Change, Event, Operation, PolicyResult
from cohost.local.pulumi_events import Recorder

LOGS = Path(__file__).parent / "event_logs"
URN = "urn:pulumi:replay::recording::rec:index:Thing::"
THING = "rec:index:Thing"


def follow(name: str, operation: Operation) -> tuple[Recorder, list[Event]]:
    events: list[Event] = []
    recorder = Recorder(operation, events.append)
    for line in (LOGS / f"{name}.jsonl").read_text().splitlines():
        recorder.take(json.loads(line))
    return recorder, events


def steps(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(e.urn.removeprefix(URN), e.op, e.status) for e in events if e.type == THING]


def test_a_failed_update_is_told_as_the_embedded_engine_tells_it() -> None:
    recorder, events = follow("replacement-then-failed-update", Operation.UP)
    assert recorder.error(255, ["error: update failed"]) == "rec:index:Thing live: update of live was told to fail"
    assert recorder.summary() == {"create": 0, "update": 0, "replace": 1, "delete": 0, "same": 1}
    assert recorder.changes() == (Change(f"{URN}config", THING, "replace", ("fixed",)),)
    assert steps(events) == [
        ("config", "replace", "started"),
        ("config", "replace", "done"),
        ("live", "update", "started"),
        ("live", "update", "failed"),
    ]


def test_the_traceback_of_a_program_that_the_engine_cut_off_is_not_shown() -> None:
    _, events = follow("replacement-then-failed-update", Operation.UP)
    logged = [event.message for event in events if event.kind == "log"]
    assert logged == ["update of live was told to fail", "update failed"]


def test_deleting_the_old_one_of_a_replacement_is_not_a_change_of_its_own() -> None:
    recorder, events = follow("update-then-deletes", Operation.UP)
    assert recorder.error(0, []) is None
    assert recorder.summary() == {"create": 0, "update": 1, "replace": 0, "delete": 1, "same": 2}
    assert [(change.urn.removeprefix(URN), change.op) for change in recorder.changes()] == [
        ("live", "update"),
        ("old", "delete"),
    ]
    assert ("config", "discard", "done") in steps(events)


def test_a_preview_gives_the_outputs_that_are_known_and_not_secret() -> None:
    recorder, _ = follow("preview", Operation.PREVIEW)
    assert recorder.previewed_outputs() == {"known": "1", "out": "live/1+"}
    assert [(change.urn.removeprefix(URN), change.op) for change in recorder.changes()] == [
        ("config", "replace"),
        ("live", "update"),
    ]


def test_what_policies_found_is_told_and_a_mandatory_one_is_why_it_failed() -> None:
    recorder, _ = follow("policies", Operation.PREVIEW)
    assert recorder.error(255, ["error: preview failed"]) == f"{THING} a: breaks the mandatory policy allowed"
    assert len(recorder.policies()) == 7
    wrong = "A thing has a value that is allowed.\nbad of a, protected False, below recording-replay"
    assert PolicyResult("allowed", "mandatory", wrong, f"{URN}a") in recorder.policies()
    assert PolicyResult("owned", "remediate", "changed owner", f"{URN}a") in recorder.policies()
    assert [(found.urn.removeprefix(URN), found.level) for found in recorder.policies() if found.policy == "few"] == [
        ("urn:pulumi:replay::recording::pulumi:pulumi:Stack::recording-replay", "advisory"),
        ("c", "advisory"),
    ]


def test_a_command_that_fails_without_an_event_is_told_in_its_own_words() -> None:
    recorder = Recorder(Operation.UP, lambda event: None)
    assert recorder.error(255, ["error: no stack named 'x' found"]) == "no stack named 'x' found"
    assert recorder.error(137, []) == "pulumi ended with exit code 137"


def test_an_import_is_a_change_and_is_counted_where_there_is_one() -> None:
    recorder = Recorder(Operation.UP, lambda _: None)
    metadata = {"op": "import", "urn": f"{URN}adopted", "type": THING, "detailedDiff": None}
    recorder.take({"resOutputsEvent": {"metadata": metadata}})
    recorder.take({"summaryEvent": {"resourceChanges": {"import": 1}}})
    assert recorder.changes() == (Change(f"{URN}adopted", THING, "import", ()),)
    assert recorder.summary() == {"create": 0, "update": 0, "replace": 0, "delete": 0, "import": 1, "same": 0}
