"""What our provider sends Vertex AI in a life cycle of the gcp stack: each body, parsed by Google's own messages.

`python -m tests.local.vertex_inventory` writes INVENTORY anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

from tests.local.engine_calls import Step, life_cycle
from tests.local.project import CHECKOUT

INVENTORY = Path(__file__).with_name("vertex_inventory.json")
COMMAND = "python -m tests.local.vertex_inventory"
PATH = re.compile(r"/v1/(?P<name>projects/[^:]+?)(/(?P<collection>models|endpoints))?(:(?P<verb>\w+))?")
# google.api.http annotations of the services: the message of each method, and what of the path and the body is where.
PARENT, ITSELF = "parent", "name"
METHODS = {
    "POST models:upload": ("UploadModelRequest", PARENT, None),
    "POST models/*:mergeVersionAliases": ("MergeVersionAliasesRequest", ITSELF, None),
    "PATCH models/*": ("UpdateModelRequest", None, "model"),
    "DELETE models/*": ("DeleteModelRequest", ITSELF, None),
    "DELETE models/*:deleteVersion": ("DeleteModelVersionRequest", ITSELF, None),
    "PATCH endpoints/*": ("UpdateEndpointRequest", None, "endpoint"),
    "POST endpoints/*:deployModel": ("DeployModelRequest", "endpoint", None),
    "POST endpoints/*:undeployModel": ("UndeployModelRequest", "endpoint", None),
    "POST endpoints/*:mutateDeployedModel": ("MutateDeployedModelRequest", "endpoint", None),
}
# Digests and what is made of them (an alias's mark too), the suffix of the bucket's name, an endpoint's etag.
CHANCE = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{12})(?![0-9a-f])|(?<=models-)[0-9a-f]{7}(?=/)"
    r'|(?<="etag": ")[^"]+|(?<="cohost-aliases": ")[^"]+'
)


def taken(steps: Mapping[str, Step]) -> dict[str, dict[str, list[Any]]]:
    """For each step and each model or endpoint what was sent about it, in order, without what is another each time.

    Models are registered several at a time: between two of them there is no order. Predictions are no part of it.
    """
    numbers: dict[str, str] = {}
    return {name: _by_resource(step.requests, numbers) for name, step in steps.items()}


def kept() -> dict[str, Any]:
    """What the file says."""
    return json.loads(INVENTORY.read_text())


def _by_resource(requests: Iterable[Mapping[str, Any]], numbers: dict[str, str]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for request in requests:
        found = PATH.fullmatch(unquote(urlsplit(request["url"]).path))
        if found is None or request["method"] == "GET" or found["verb"] == "rawPredict":
            continue
        kind, message = _parsed(request, found)
        resource = f"{found['name']}/models/{message.get('modelId')}" if "modelId" in message else found["name"]
        resource = message.get("parentModel", resource).partition("@")[0]
        deployed = message.get("deployedModel", {}).get("id")
        if deployed:
            numbers.setdefault(deployed, f"deployed-{len(numbers) + 1}")
        grouped.setdefault(resource, []).append({kind: _same_each_time(message, numbers)})
    return dict(sorted(grouped.items()))


def _parsed(request: Mapping[str, Any], found: re.Match[str]) -> tuple[str, dict[str, Any]]:
    """Name of a request's message, and the message as Google's library writes it.

    Raises:
        KeyError: No method is known that is called so.
        json_format.ParseError: The body is not one of that message.
    """
    form = re.sub(r".*/(models|endpoints)/[^/]+$", r"\1/*", found["name"])
    form = found["collection"] or form
    kind, place, inside = METHODS[f"{request['method']} {form}{':' + found['verb'] if found['verb'] else ''}"]
    body = json.loads(request["body"] or "{}")
    content: dict[str, Any] = {inside: body} if inside else body
    if place:
        content[place] = found["name"]
    if mask := parse_qs(urlsplit(request["url"]).query).get("updateMask"):
        content["updateMask"] = mask[0]
    plus = getattr(types, kind)
    message = plus.pb(plus())
    json_format.ParseDict(content, message)
    return kind, json_format.MessageToDict(message)


def _same_each_time(message: dict[str, Any], numbers: Mapping[str, str]) -> dict[str, Any]:
    """A message with its chance taken out, and deployed models numbered as they came."""
    text = CHANCE.sub("*", json.dumps(message, sort_keys=True))
    for id, number in numbers.items():
        text = text.replace(id, number)
    return json.loads(text)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="inventory-") as temporary:
        steps = life_cycle(Path(temporary), "gcp", "embedded")
    INVENTORY.write_text(json.dumps(taken(steps), indent=1) + "\n")
    print(f"written to {INVENTORY.relative_to(CHECKOUT)}")


if __name__ == "__main__":
    sys.exit(main())
