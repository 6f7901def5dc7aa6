from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import analyzer_pb2

from cohost.engine import Launch, PolicyPack
from cohost.engine.policy_config import reconcile
from cohost.errors import InputError

INFO: Mapping[str, Any] = {
    "name": "rules",
    "supportsConfig": True,
    "policies": [
        {"name": "plain", "enforcementLevel": "MANDATORY"},
        {
            "name": "set",
            "enforcementLevel": "ADVISORY",
            "configSchema": {
                "properties": {"most": {"type": "integer", "default": 2}, "words": {"type": "array"}},
                "required": ["most"],
            },
        },
    ],
}


def reconciled(config: Mapping[str, Any], **info: Any) -> dict[str, Any]:
    """What each policy is given: its level, and its properties."""
    pack = PolicyPack(
        folder=Path("pack"),
        launch=Launch(command=(), cwd=Path(), env={}),
        config_file=Path("settings.json"),
        config=config,
    )
    found = reconcile(json_format.ParseDict({**INFO, **info}, analyzer_pb2.AnalyzerInfo()), pack)
    return {
        name: (analyzer_pb2.EnforcementLevel.Name(one.enforcementLevel), json_format.MessageToDict(one.properties))
        for name, one in found.items()
    }


def test_without_settings_each_policy_has_its_own_level_and_the_defaults_of_its_schema() -> None:
    assert reconciled({}) == {"plain": ("MANDATORY", {}), "set": ("ADVISORY", {"most": 2})}


def test_settings_of_the_user_go_before_those_of_the_pack_and_these_before_the_defaults() -> None:
    initial = {"set": {"enforcementLevel": "REMEDIATE", "properties": {"most": 3, "words": ["a"]}}}
    assert reconciled({}, initialConfig=initial)["set"] == ("REMEDIATE", {"most": 3, "words": ["a"]})
    config = {"set": {"most": 4}}
    assert reconciled(config, initialConfig=initial)["set"] == ("REMEDIATE", {"most": 4, "words": ["a"]})


def test_a_level_for_all_is_every_policys_unless_it_has_one_of_its_own() -> None:
    config = {"all": {"enforcementLevel": "disabled"}, "set": {"enforcementLevel": "mandatory"}}
    assert reconciled(config) == {"plain": ("DISABLED", {}), "set": ("MANDATORY", {"most": 2})}


def test_everything_that_does_not_fit_the_pack_is_said_at_once() -> None:
    with pytest.raises(InputError) as refused:
        reconciled({"set": {"most": "many", "words": "few"}, "plan": {}})
    assert str(refused.value).splitlines() == [
        "settings.json: plan: is no policy of rules, which has: plain, set",
        "settings.json: set.most: 'many' is not of type 'integer'",
        "settings.json: set.words: 'few' is not of type 'array'",
    ]


def test_a_pack_that_takes_no_settings_gets_none() -> None:
    with pytest.raises(InputError, match="takes no settings"):
        reconciled({"plain": {"enforcementLevel": "advisory"}}, supportsConfig=False)
