"""A policy pack on both engines: the same findings, the same end.

The pack needs an environment of its own (policies/.venv), the real engine the `pulumi` command.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cohost import engine
from cohost.engine import Operation, PolicyResult, Result
from cohost.errors import CohostError, InputError
from cohost.local import policy_pack, pulumi_command
from tests.engine.workspace import CHECKOUT, FIXTURES, Workspace, thing

PACK = FIXTURES / "pack"
URN = "urn:pulumi:replay::recording::rec:index:Thing::"
STACK = "urn:pulumi:replay::recording::pulumi:pulumi:Stack::recording-replay"
ENGINES: dict[str, Callable[..., Result]] = {"embedded": engine.execute, "pulumi": pulumi_command.execute}
NEEDS_PACK = pytest.mark.skipif(
    not (CHECKOUT / "policies/.venv").exists(), reason="policies/ has no environment: `make policies-install`"
)
NEEDS_PULUMI = pytest.mark.skipif(not shutil.which("pulumi"), reason="there is no `pulumi` command in PATH")

pytestmark = NEEDS_PACK


class Policed:
    """A workspace whose operations are held to the fixture's pack, on one of the engines."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self._execute = ENGINES[name]
        options = {"toolchain": "uv", "virtualenv": str(CHECKOUT / ".venv")}
        runtime = {"name": "python", "options": options}
        (workspace.folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "recording", "runtime": runtime}))
        (workspace.folder / "Pulumi.replay.yaml").write_text("{}\n")
        # The real engine reads there what the program needs, and installs nothing.
        (workspace.folder / "uv.lock").write_text("version = 1\n")

    def run(self, verb: str, *things: Mapping[str, Any], config: Any = None, pack: Path = PACK) -> Result:
        self.workspace.begin({"resources": list(things)})
        file = None
        if config is not None:
            file = self.workspace.folder / "settings.json"
            file.write_text(json.dumps(config))
        policies = policy_pack.read(pack, file, self.workspace.environment)
        stack = replace(self.workspace.stack, policies=policies)
        return self._execute(stack, Operation(verb), on_event=self.workspace.events.append)

    def created(self) -> dict[str, Any]:
        """The inputs of what was really created, by name."""
        calls = [call for call in self.workspace.calls("Create") if not call.get("preview")]
        return {call["resource"]: call["properties"] for call in calls}


@pytest.fixture(params=["embedded", pytest.param("pulumi", marks=NEEDS_PULUMI)])
def policed(workspace: Workspace, request: pytest.FixtureRequest) -> Policed:
    return Policed(workspace, request.param)


def bad(name: str, value: str = "bad", details: str = "protected False, below recording-replay") -> PolicyResult:
    message = f"A thing has a value that is allowed.\n{value} of {name}, {details}"
    return PolicyResult("allowed", "mandatory", message, URN + name)


def owner(name: str) -> PolicyResult:
    return PolicyResult("owned", "remediate", "changed owner", URN + name)


def test_what_a_mandatory_policy_forbids_is_never_begun_and_the_up_fails(policed: Policed) -> None:
    result = policed.run("up", thing("a"), thing("b", {"dependsOn": ["a"]}, value="bad"), thing("c", value="good"))
    assert result.error == "rec:index:Thing b: breaks the mandatory policy allowed"
    assert set(result.policies) >= {owner("a"), owner("b"), bad("b")}
    assert "b" not in policed.created()
    assert not any(finding.policy == "few" for finding in result.policies), "a failed stack is not judged as a whole"


def test_a_preview_goes_on_to_find_everything_and_then_fails(policed: Policed) -> None:
    things = [thing("a", value="bad"), thing("b", {"protect": True}, value="bad"), thing("c", {"dependsOn": ["a"]})]
    result = policed.run("preview", *things)
    assert sorted((result.error or "").splitlines()) == [
        "rec:index:Thing a: breaks the mandatory policy allowed",
        "rec:index:Thing b: breaks the mandatory policy allowed",
    ]
    assert (result.summary["create"], policed.created()) == (4, {})
    many = "There are few things.\n3 things: ['True', 'True', 'True'] ['a>', 'b>', 'c>a']"
    assert list(result.policies) == [
        bad("a"),
        bad("b", details="protected True, below recording-replay"),
        PolicyResult("few", "advisory", many, STACK),
        PolicyResult("few", "advisory", "There are few things.\nthis one is the last", URN + "c"),
        owner("a"),
        owner("b"),
        owner("c"),
    ]


def test_a_remediation_changes_what_is_created_and_is_no_change_the_next_time(policed: Policed) -> None:
    first = policed.run("up", thing("a"), thing("b", value="1", owner="team"))
    assert (first.error, first.policies) == (None, (owner("a"),))
    assert policed.created() == {"a": {"value": "1", "owner": "replay"}, "b": {"value": "1", "owner": "team"}}
    again = policed.run("up", thing("a"), thing("b", value="1", owner="team"))
    assert (again.error, again.summary["same"], again.policies) == (None, 3, (owner("a"),))


def test_a_replacement_is_made_from_the_programs_own_inputs_again(policed: Policed) -> None:
    assert policed.run("up", thing("a", fixed="1", value="1")).error is None
    result = policed.run("up", thing("a", fixed="2", value="1"))
    assert (result.error, result.summary["replace"], result.policies) == (None, 1, (owner("a"),))
    assert policed.created() == {"a": {"fixed": "2", "value": "1"}}


def test_a_value_that_a_preview_does_not_know_is_no_violation(policed: Policed) -> None:
    result = policed.run("preview", thing("a"), thing("b", value={"$ref": "a.out"}))
    assert result.error is None
    [finding] = [finding for finding in result.policies if finding.policy == "allowed"]
    assert (finding.level, finding.urn) == ("advisory", f"{URN}b")
    assert finding.message.endswith("during preview: string value at .value can't be known during preview")
    assert policed.run("up", thing("a"), thing("b", value={"$ref": "a.out"})).error is None


def test_a_stack_policy_that_is_mandatory_fails_an_up_whose_resources_are_all_there(policed: Policed) -> None:
    result = policed.run("up", thing("a"), config={"few": {"enforcementLevel": "mandatory", "most": 0}})
    assert (result.error or "").splitlines() == [
        "the stack breaks the mandatory policy few",
        "rec:index:Thing a: breaks the mandatory policy few",
    ]
    assert set(policed.created()) == {"a"}
    assert {finding.level for finding in result.policies if finding.policy == "few"} == {"mandatory"}


def test_the_settings_of_the_file_go_before_those_of_the_pack(policed: Policed) -> None:
    config = {"all": "disabled", "allowed": {"enforcementLevel": "advisory", "forbidden": ["ugly"]}}
    result = policed.run("up", thing("a", value="bad"), thing("b", value="ugly"), config=config)
    assert (result.error, result.policies) == (None, (replace(bad("b", "ugly"), level="advisory"),))
    assert policed.created()["a"] == {"value": "bad"}


def test_a_provider_is_held_to_the_policies_as_resources_are(policed: Policed) -> None:
    result = policed.run("up", thing("a"), config={"allowed": {"providers": "no provider like"}})
    assert result.error == "pulumi:providers:rec default: breaks the mandatory policy allowed"
    assert policed.created() == {}


def test_a_rule_that_fails_itself_fails_the_operation(policed: Policed) -> None:
    result = policed.run("preview", thing("a", value="crash"))
    assert "the rule was told to fail" in (result.error or "")
    assert policed.workspace.calls("Create") == []


def test_a_secret_stays_one_through_a_remediation(policed: Policed) -> None:
    result = policed.run("up", thing("a", value={"$secret": "hidden"}))
    assert (result.error, result.policies) == (None, (owner("a"),))
    assert policed.created() == {"a": {"value": {"secret": True}, "owner": "replay"}}


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        ({"few": {"most": "many"}}, ["few.most: 'many' is not of type 'integer'"]),
        ({"few": "nonsense"}, ["few: is 'nonsense'; the levels are advisory, mandatory, remediate, disabled"]),
        (
            {"alowed": "disabled", "allowed": {"forbidden": 3}},
            [
                "allowed.forbidden: 3 is not of type 'array'",
                "alowed: is no policy of rules, which has: allowed, few, owned",
            ],
        ),
        ([], ["is no JSON object of settings by policy"]),
    ],
)
def test_everything_wrong_with_the_settings_is_said_before_anything_begins(
    workspace: Workspace, config: Any, problems: list[str]
) -> None:
    policed = Policed(workspace, "embedded")
    with pytest.raises(InputError) as refused:
        policed.run("up", thing("a"), config=config)
    file = workspace.folder / "settings.json"
    assert str(refused.value).splitlines() == [f"{file}: {problem}" for problem in problems]
    assert workspace.calls() == []


def test_a_pack_that_does_not_start_says_why_and_nothing_begins(workspace: Workspace, tmp_path: Path) -> None:
    pack = tmp_path / "broken"
    pack.mkdir()
    options = {"virtualenv": str(CHECKOUT / "policies/.venv")}
    (pack / "PulumiPolicy.yaml").write_text(yaml.safe_dump({"runtime": {"name": "python", "options": options}}))
    (pack / "__main__.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(CohostError, match=r"(?s)policy pack broken did not print its port; .*nothing_of_that_name"):
        Policed(workspace, "embedded").run("up", thing("a"), pack=pack)
    assert (workspace.calls(), workspace.names()) == ([], [])


def test_no_process_of_a_pack_outlives_the_operation(whole: Workspace) -> None:
    # The fixture itself fails the test where one does.
    assert Policed(whole, "embedded").run("up", thing("a")).error is None
    assert len(whole.calls("Create")) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no PulumiPolicy.yaml"),
        ("runtime: nodejs", "runtime.name: is 'nodejs'; a local pack is python"),
        ("runtime: python", "runtime.options.virtualenv: is missing"),
        ("runtime: {name: python, options: {virtualenv: absent}}", "is no environment; make it (that of"),
    ],
)
def test_a_folder_that_holds_no_pack_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content:
        (tmp_path / "PulumiPolicy.yaml").write_text(content)
    with pytest.raises(InputError) as refused:
        policy_pack.read(tmp_path, None, {})
    assert said in str(refused.value)
