from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cohost.errors import CohostError
from cohost.local.sagemaker import fleet as module
from cohost.local.sagemaker.errors import ProvisioningError
from cohost.local.sagemaker.fleet import Fleet
from cohost.local.sagemaker.instance import Spec

TARGETS = [f"model-{number}.tar.gz" for number in range(200)]


class Machine:
    """An instance without Triton."""

    fault: CohostError | None = None

    def __init__(self, spec: Spec, mark: str) -> None:
        if Machine.fault:
            raise Machine.fault
        self.mark = mark
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fleet:
    monkeypatch.setattr(module, "Instance", Machine)
    monkeypatch.setattr(Machine, "fault", None)
    unused: Any = None
    return Fleet(
        Spec(
            folder=tmp_path,
            mark="mark",
            variant="AllTraffic",
            environment={},
            fetch=unused,
            memory=lambda: 0,
            disk=lambda: 0,
            observer=unused,
        )
    )


def routes(fleet: Fleet) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for target in TARGETS:
        with fleet.using(target) as instance:
            assert instance
            found[target] = instance.mark
    return found


def test_a_model_stays_with_its_instance_when_others_come_and_go(fleet: Fleet) -> None:
    fleet.scale(3)
    three = routes(fleet)
    assert set(three.values()) == {instance.mark for instance in fleet.instances}
    fleet.scale(2)
    left = {instance.mark for instance in fleet.instances}
    assert {target: mark for target, mark in routes(fleet).items() if three[target] in left} == {
        target: mark for target, mark in three.items() if mark in left
    }
    fleet.scale(3)
    newcomer = fleet.instances[-1].mark
    moved = {target for target, mark in routes(fleet).items() if mark == newcomer}
    assert 0 < len(moved) < len(TARGETS)


def test_an_instance_ends_when_its_last_call_has_ended_and_gets_no_new_one(fleet: Fleet) -> None:
    fleet.scale(1)
    with fleet.using("m") as instance:
        assert isinstance(instance, Machine)
        closing = threading.Thread(target=fleet.close)
        closing.start()
        while fleet.instances:
            pass
        with fleet.using("m") as next_one:
            assert next_one is None
        assert not instance.closed.wait(0.05)
    closing.join(20)
    assert instance.closed.is_set()


def test_a_fleet_whose_containers_do_not_start_says_so_in_sagemakers_words(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "fault", CohostError("Triton did not start: no such flag"))
    with pytest.raises(ProvisioningError, match=r"did not pass the ping health check.*no such flag"):
        fleet.scale(1)
    assert fleet.instances == ()
