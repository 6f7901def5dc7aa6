"""The embedded engine does what the real one was seen to do."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.engine import record, scenario
from tests.engine.replay import RECORDINGS, replay

FILES = {path.stem: path for path in sorted(RECORDINGS.glob("*.json"))}


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[str | None]]]:
    """Every scenario that is asked for, as many at a time as there are processors."""
    wanted = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]  # pyright: ignore[reportAttributeAccessIssue]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(replay, path) for name, path in FILES.items() if name in wanted}


@pytest.mark.parametrize("name", FILES)
def test_the_embedded_engine_does_what_the_real_one_did(name: str, replays: dict[str, Future[str | None]]) -> None:
    assert replays[name].result() is None


def test_every_recording_is_listed_with_its_promise() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", (RECORDINGS / "README.md").read_text(), re.MULTILINE)
    assert dict(listed) == {name: json.loads(path.read_text())["promise"] for name, path in FILES.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda seen: seen.update(exitCode=1), "exitCode"),
        (lambda seen: seen["counts"].pop(), "counts"),
        (lambda seen: seen["pendingOperations"].append({"operation": "creating", "name": "a"}), "pendingOperations"),
        (lambda seen: seen["calls"].pop(), "call 2 of b"),
        (lambda seen: seen["calls"][0]["news"].update(value="2"), "call 1 of a"),
        (lambda seen: seen["calls"].reverse(), "call 1 of a"),
        (lambda seen: seen["calls"].append(seen["calls"].pop(1)), "order of calls of b and a"),
        (lambda seen: seen["resources"].pop(), "state of b"),
        (lambda seen: seen["resources"][1].update(id="other"), "state of a"),
        (lambda seen: seen["resources"].reverse(), "stands before"),
    ],
)
def test_a_difference_from_a_recording_is_told(change: Callable[[dict[str, Any]], object], told: str) -> None:
    kept = json.loads(FILES["create-then-no-change"].read_text())["steps"][0]["expect"]
    seen = copy.deepcopy(kept)
    assert scenario.difference(kept, seen) is None
    change(seen)
    assert told in (scenario.difference(kept, seen) or "")


@pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")
@pytest.mark.parametrize("name", ["replace-then-dependent-fails", "kill-during-replace"])
def test_a_recording_can_be_made_again(name: str) -> None:
    kept = json.loads(FILES[name].read_text())
    assert record.difference(kept, record.record(kept)) is None
