"""`cohost local preview|up --policy-pack`: what the policies found, for a person and as JSON."""

from __future__ import annotations

import json

import pytest

from tests.engine.test_policies import NEEDS_PACK, PACK
from tests.local.project import Project
from tests.local.test_cli_contract import holds


@NEEDS_PACK
def test_a_pack_that_forbids_fails_preview_and_up_and_both_say_what_it_found(small_project: Project) -> None:
    settings = small_project.root / "settings.json"
    settings.write_text(json.dumps({"allowed": {"providers": "not a provider like"}}))
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", str(settings))
    preview = holds(small_project.cohost("local", "preview", "aws", *pack, "--json"), "operation", code=1)
    assert {found["level"] for found in preview["policies"]} == {"mandatory"}
    providers = {found["urn"].rpartition("pulumi:providers:")[2] for found in preview["policies"]}
    assert {name.partition("::")[0] for name in providers} == {"aws", "cohost"}
    assert preview["summary"]["create"] > 30, "a preview goes on"
    said = small_project.cohost("local", "up", "aws", *pack)
    assert said.code == 1
    assert "breaks the mandatory policy allowed" in said.err
    shown = said.out[said.out.index("policies:") :].splitlines()
    assert shown[1].startswith("  mandatory allowed: pulumi:providers:")
    assert shown[2] == "      A thing has a value that is allowed."
    assert shown[3].startswith("      not a provider like default")
    free = holds(small_project.cohost("local", "preview", "aws", "--policy-pack", str(PACK), "--json"), "operation")
    assert free["policies"] == []
    # What needs no provider was made before the first of them was refused.
    assert free["summary"]["create"] + free["summary"]["same"] == preview["summary"]["create"]


@NEEDS_PACK
@pytest.mark.parametrize("text", ["[]", '{"alowed": "disabled"}'])
def test_wrong_settings_of_a_pack_end_with_exit_code_2_and_name_the_file(small_project: Project, text: str) -> None:
    settings = small_project.root / "settings.json"
    settings.write_text(text)
    pack = ("--policy-pack", str(PACK), "--policy-pack-config", "settings.json")
    document = holds(small_project.cohost("local", "preview", "aws", *pack, "--json"), "error", code=2)
    assert [problem["file"] for problem in document["problems"]] == ["settings.json"]
