"""What of Vertex AI's carries the stack's labels, and is in no state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from cohost import ownership, tokens
from cohost.doctor import orphans, state
from cohost.doctor.check import Finding, Step, skipped
from cohost.doctor.orphans import Orphan
from cohost.doctor.subject import Resource, Subject
from cohost.provider import google_api
from cohost.provider.google import Google, GoogleError
from cohost.provider.vertex import models

_ENDPOINT: Final = "gcp:vertex/aiEndpoint:AiEndpoint"


def step(subject: Subject, google: Google, needs: tuple[str, ...]) -> Step:
    """Returns the check of what was left behind."""
    return Step("orphans", lambda: _look(subject, google), needs=needs)


def _look(subject: Subject, google: Google) -> Finding:
    held = subject.resources()
    try:
        found = [*_of_endpoints(subject, google, held), *_of_models(subject, google, held)]
    except GoogleError as error:
        if error.reason == "SERVICE_DISABLED":
            return skipped("while the API of Vertex AI is off there is nothing of it")
        raise
    return orphans.finding(found, "endpoints, deployed models and models")


def _of_endpoints(subject: Subject, google: Google, held: Sequence[Resource]) -> Iterator[Orphan]:
    region = subject.config["gcp:region"]
    known = {_last(id) for id in state.ids(held, (_ENDPOINT,))}
    deployed = {_last(id) for id in state.ids(held, (tokens.VERTEX_DEPLOYED_MODEL,))}
    mark = ownership.owner_label(subject.project, subject.stack)
    for endpoint in _listed(subject, google, "endpoints", f'labels.{ownership.OWNER_LABEL}="{mark}"'):
        number = _last(endpoint["name"])
        for each in endpoint.get("deployedModels", ()):
            if each["id"] not in deployed:
                undeploy = (
                    f"gcloud ai endpoints undeploy-model {number} --deployed-model-id {each['id']} --region {region}"
                )
                yield Orphan("deployed model", f"{each['id']} on endpoint {number}", costs=True, remove=undeploy)
        if number not in known:
            remove = f"gcloud ai endpoints delete {number} --region {region}"
            yield Orphan("endpoint", number, costs=False, remove=remove)


def _of_models(subject: Subject, google: Google, held: Sequence[Resource]) -> Iterator[Orphan]:
    region = subject.config["gcp:region"]
    known = {_last(id) for id in state.ids(held, (tokens.VERTEX_MODEL,))}
    for each in held:
        if each["type"] == tokens.VERTEX_MODEL_SET:
            versions = (each.get("outputs") or {}).get("versions") or {}
            known |= {version.partition("@")[0] for version in versions.values()}
    for urn in sorted(_urns(subject, held)):
        for model in _listed(subject, google, "models", f'labels.{models.OWNER_LABEL}="{models.owner_value(urn)}"'):
            name = _last(model["name"])
            if name not in known:
                yield Orphan("model", name, costs=False, remove=f"gcloud ai models delete {name} --region {region}")


def _urns(subject: Subject, held: Sequence[Resource]) -> set[str]:
    """The resources that register models: those in the state, and those that the stack as shipped would have."""
    registering = (tokens.VERTEX_MODEL, tokens.VERTEX_MODEL_SET)
    shipped = {
        f"urn:pulumi:{subject.stack}::{subject.project}::{tokens.GCP_SHARED_ENDPOINT}${token}::shared"
        for token in registering
    }
    return shipped | {each["urn"] for each in held if each["type"] in registering}


def _listed(subject: Subject, google: Google, what: str, labelled: str) -> list[dict[str, Any]]:
    project, region = subject.config["gcp:project"], subject.config["gcp:region"]
    return google_api.listed(
        google.credentials(),
        "aiplatform",
        f"v1/projects/{project}/locations/{region}/{what}",
        of=what,
        doing=f"listing the {what} of {region}",
        query={"filter": labelled},
        host=f"{region}-aiplatform",
    )


def _last(name: str) -> str:
    return name.rpartition("/")[2]
