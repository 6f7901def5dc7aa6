"""What both stacks register, kept for the policy pack, whose environment cannot run the programs.

`python -m tests.unit.test_policy_recordings` writes the files anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from pulumi.output import Unknown

from cohost import tokens
from tests.unit import mocks, mocks_gcp
from tests.unit.mocks import ROOT, Recording, Registered

FOLDER: Final = ROOT / "policies" / "tests" / "recorded"
# What stands for a value that is not known in a preview (pulumi-policy 1.21, proxy.py).
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_RELEASE: Final = "1b" * 32
_ARTIFACT: Final = "2c" * 32

# The settings that the pack's rules for production ask for.
AWS_PRODUCTION: Final[Mapping[str, Any]] = {
    "production": "true",
    "variant": {"minInstances": 2, "maxInstances": 2},
    "network": {"isolation": True},
    "alarms": {"notify": ["arn:aws:sns:eu-west-1:123456789012:alerts"]},
}
GCP_PRODUCTION: Final[Mapping[str, Any]] = {
    "production": "true",
    "machine": {"minReplicas": 2, "maxReplicas": 2},
    "encryption": {"kmsKey": f"projects/keys/locations/{mocks_gcp.REGION}/keyRings/ring/cryptoKeys/key"},
    "caller": {"members": ["serviceAccount:app@my-project.iam.gserviceaccount.com"]},
    "deployer": {"members": ["group:ml@example.com"]},
}
AWS_SCALING: Final = {"variant": {"minInstances": 1, "maxInstances": 2, "invocationsPerInstance": 600}}

# The stacks whose name ends so have the setting `production`, which policies are told beside the resources.
_PRODUCTION: Final = "-production"
STACKS: Final[Mapping[str, Callable[[], Recording]]] = {
    "aws": mocks.run_main,
    "aws-preview": lambda: mocks.run_main(preview=True),
    "aws-production": lambda: mocks.run_main(AWS_PRODUCTION),
    "aws-scaling": lambda: mocks.run_main(AWS_SCALING),
    "gcp": mocks_gcp.run_main,
    "gcp-preview": lambda: mocks_gcp.run_main(preview=True),
    "gcp-production": lambda: mocks_gcp.run_main(GCP_PRODUCTION),
}


def taken(stack: str) -> dict[str, Any]:
    """What a stack registers now, in the form of the files: inputs, and those options that policies see."""
    recording = STACKS[stack]()
    whole = json.dumps([_entry(resource) for resource in recording.resources.values()])
    # A release stands in names whole and shortened; a trained model changes it.
    for characters in (64, 32, 12):
        whole = whole.replace(recording.outputs["release"][:characters], _RELEASE[:characters])
    return {
        "production": stack.endswith(_PRODUCTION),
        "resources": sorted(json.loads(whole), key=lambda entry: entry["urn"]),
    }


def _entry(resource: Registered) -> dict[str, Any]:
    request = resource.request
    links = {name: sorted(found.urns) for name, found in sorted(request.propertyDependencies.items()) if found.urns}
    return {
        "type": resource.type,
        "name": resource.name,
        "urn": resource.urn,
        "protect": request.protect,
        "deleteBeforeReplace": request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        "propertyDependencies": links,
        "props": {name: _brief(resource.type, name, value) for name, value in sorted(resource.inputs.items())},
    }


def _brief(type_: str, name: str, value: Any) -> Any:
    """One model stands for all: to the rules they are alike, and the catalog's change."""
    if name == "models":
        return {"digits": _ARTIFACT}
    if type_ == tokens.VERTEX_MODEL_SET and name == "labels":
        return {"digits": {"owner": "vision-team"}}
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _file(stack: str) -> Path:
    return FOLDER / f"{stack}.json"


def _write(stack: str) -> None:
    _file(stack).write_text(json.dumps(taken(stack), indent=1) + "\n")


@pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")
@pytest.mark.parametrize("stack", STACKS)
def test_the_policy_pack_is_tested_on_what_the_stacks_register_now(stack: str) -> None:
    message = "run `python -m tests.unit.test_policy_recordings`"
    assert json.loads(_file(stack).read_text()) == taken(stack), message


if __name__ == "__main__":
    for name in STACKS:
        _write(name)
