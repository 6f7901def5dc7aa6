"""What the program of a run asks for is not deleted in that run, whatever old records the state still has of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from cohost.provider.resource import Change
from cohost.provider.servicer import Servicer
from tests.unit.plugin_process import struct

TYPE = "test:index:Thing"
URN = f"urn:pulumi:dev::project::{TYPE}::thing"


class Call:
    """A gRPC call that goes on."""

    def is_active(self) -> bool:
        return True


class Things:
    """Resources whose id is their name, and what was deleted of them."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def identify(self, inputs: Any) -> str:
        return inputs["name"]

    def check(self, context: Any, olds: Any, news: Any) -> list[Any]:
        return []

    def diff(self, context: Any, outputs: Any, news: Any) -> dict[str, Change]:
        return {"name": Change.REPLACE} if outputs["name"] != news["name"] else {}

    def create(self, context: Any, inputs: Any) -> Any:
        return inputs

    def delete(self, context: Any, outputs: Any) -> None:
        self.deleted.append(outputs["name"])


class Run:
    """One run of an engine with a plugin of its own."""

    def __init__(self) -> None:
        self.things = Things()
        self.plugin = Servicer({TYPE: self.things}, Path())  # type: ignore[dict-item]

    def check(self, name: str) -> None:
        self.plugin.Check(provider_pb2.CheckRequest(urn=URN, news=struct({"name": name})), Call())  # type: ignore[arg-type]

    def diff(self, old: str, new: str) -> None:
        request = provider_pb2.DiffRequest(urn=URN, id=old, olds=struct({"name": old}), news=struct({"name": new}))
        self.plugin.Diff(request, Call())  # type: ignore[arg-type]

    def create(self, name: str) -> None:
        self.plugin.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"name": name})), Call())  # type: ignore[arg-type]

    def delete(self, name: str, urn: str = URN) -> None:
        request = provider_pb2.DeleteRequest(urn=urn, id=name, properties=struct({"name": name}))
        self.plugin.Delete(request, Call())  # type: ignore[arg-type]


@pytest.fixture
def run() -> Run:
    return Run()


def test_going_back_after_a_failed_replacement_deletes_the_new_one_and_not_the_old_one(run: Run) -> None:
    run.check("old")
    run.diff("new", "old")
    run.create("old")
    run.delete("new")
    run.delete("old")  # the record that the failed run had marked
    assert run.things.deleted == ["new"]


def test_the_run_after_a_kill_keeps_what_the_killed_one_went_back_to(run: Run) -> None:
    run.check("old")
    run.diff("old", "old")
    run.delete("old")
    assert run.things.deleted == []


def test_another_logical_name_of_the_same_thing_keeps_it(run: Run) -> None:
    run.check("thing")
    run.create("thing")
    run.delete("thing", f"{URN}-by-its-old-name")
    assert run.things.deleted == []


def test_what_is_replaced_is_deleted_first_or_last(run: Run) -> None:
    run.check("new")
    run.diff("old", "new")
    run.delete("old")
    run.create("new")
    run.delete("old")
    assert run.things.deleted == ["old", "old"]


def test_what_the_program_no_longer_has_is_deleted_also_after_a_refresh_compared_it(run: Run) -> None:
    run.diff("old", "old")
    run.delete("old")
    assert run.things.deleted == ["old"]


def test_another_run_of_the_same_process_begins_anew(run: Run) -> None:
    run.check("old")
    run.create("old")
    run.plugin.Configure(provider_pb2.ConfigureRequest(), Call())  # type: ignore[arg-type]
    run.delete("old")
    assert run.things.deleted == ["old"]
