"""What of SageMaker's carries the stack's tag, and is in no state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cohost import ownership
from cohost.doctor import orphans, state
from cohost.doctor.check import Finding, Step
from cohost.doctor.orphans import Orphan
from cohost.doctor.subject import Subject
from cohost.provider import endpoints
from cohost.provider.aws import Aws, own_words

# Pulumi's type, SageMaker's List operation with its result and the name in it, what it is, and the command.
_KINDS: Final = (
    ("aws:sagemaker/endpoint:Endpoint", "list_endpoints", "Endpoints", "Endpoint", "endpoint", "delete-endpoint"),
    (
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "list_endpoint_configs",
        "EndpointConfigs",
        "EndpointConfig",
        "endpoint configuration",
        "delete-endpoint-config",
    ),
    ("aws:sagemaker/model:Model", "list_models", "Models", "Model", "model", "delete-model"),
)


def step(subject: Subject, aws: Aws, needs: tuple[str, ...]) -> Step:
    """Returns the check of what was left behind."""
    return Step("orphans", lambda: _look(subject, aws), needs=needs)


def _look(subject: Subject, aws: Aws) -> Finding:
    held = subject.resources()
    client = aws.client("sagemaker", subject.config["aws:region"], patient=False)
    owner = ownership.owner(subject.project, subject.stack)
    found: list[Orphan] = []
    for token, operation, result, word, what, command in _KINDS:
        known = state.ids(held, (token,))
        for name, arn in _listed(client, operation, result, word, subject):
            if name not in known and endpoints.owner_by_tag(client, arn, f"the {what} {name}") == owner:
                option = f"--{command.removeprefix('delete-')}-name"
                remove = f"aws sagemaker {command} {option} {name} --region {subject.config['aws:region']}"
                found.append(Orphan(what, name, costs=word == "Endpoint", remove=remove))
    return orphans.finding(found, "endpoints, endpoint configurations and models")


def _listed(client: Any, operation: str, result: str, word: str, subject: Subject) -> Iterator[tuple[str, str]]:
    """Name and ARN of all endpoints, and of what else has a name as this stack, or one named alike, generates."""
    alike = {} if word == "Endpoint" else {"NameContains": ownership.prefix(subject.stack)}
    with own_words(f"listing {result}"):
        for page in client.get_paginator(operation).paginate(**alike):
            for each in page[result]:
                yield each[f"{word}Name"], each[f"{word}Arn"]
