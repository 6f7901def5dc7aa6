"""What must hold between the settings of a stack on GCP, and between them and what Google offers.

Each rule looks at one part, and yields faults; components check their arguments by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cohost import vertex_fleet
from cohost.gcp_settings import Access, Canary, Encryption, Endpoint, GcpSettings, Machine
from cohost.setting_rules import Fault, keeping

REGIONAL: Final = frozenset({"encryption.kmsKey", "image", "machine.accelerator"})
"""The keys whose rules look at the region."""

# Source: Google Cloud, "Requirements for labels" (64 labels; keys and values of 63 characters).
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_MAX_LABELS: Final = 60
_IP_BY_TLS: Final = re.compile(r"https://[0-9.]+")
_EVERYONE: Final = ("allUsers", "allAuthenticatedUsers")


def faults(settings: GcpSettings) -> list[Fault]:
    """Returns everything wrong with settings whose types are right."""
    return [
        *machine(settings.machine, settings.region),
        *((("image", fault)) for fault in image(settings.image, settings.region)),
        *endpoint(settings.endpoint),
        *encryption(settings.encryption, settings.region),
        *canary(settings.canary, settings.update),
        *access(settings.caller, key="caller"),
        *access(settings.deployer, key="deployer"),
        *keeping(production=settings.production, force_destroy=settings.force_destroy),
        *labels(settings.labels),
    ]


def machine(machine: Machine, region: str) -> Iterator[Fault]:
    """What is wrong with a fleet in a region."""
    if not machine.unlisted:
        found = vertex_fleet.faults(machine.type, machine.accelerator, machine.accelerator_count, region)
        # One line a key: the first fault of a part is the one to mend first.
        for part, fault in dict(reversed(list(found))).items():
            yield f"machine.{part}", f"{fault}; machine.unlisted: true takes it as it is"
    if machine.max_replicas < machine.min_replicas:
        message = f"is {machine.max_replicas}, fewer than minReplicas ({machine.min_replicas})"
        yield "machine.maxReplicas", message
    if not machine.autoscaled:
        for key in ("gpuPercent", "cpuPercent"):
            if {"gpuPercent": machine.gpu_percent, "cpuPercent": machine.cpu_percent}[key] is not None:
                yield f"machine.{key}", "is for autoscaling, and maxReplicas is not more than minReplicas"


def image(address: str, region: str) -> Iterator[str]:
    """What is wrong with an image's address.

    Source: Vertex AI documentation, custom container requirements (a regional repository that matches the model's
    region, not a multi-regional one).
    """
    place = address.partition("-docker.pkg.dev/")[0]
    if place != region:
        yield (
            f"is an image in {place}; Vertex AI in {region} takes only one from there: "
            "bootstrap/README.md shows how to get it there"
        )


def endpoint(endpoint: Endpoint) -> Iterator[Fault]:
    """What is wrong with how callers are to reach the models.

    Source: "Use dedicated private endpoints based on Private Service Connect for online inference" (Google's
    documentation), "Get online inferences" and "Support for Transport Layer Security (TLS) certificates".
    """
    given = {"allowedProjects": endpoint.allowed_projects, "address": endpoint.address}
    if endpoint.kind != "psc":
        for key in (key for key, value in given.items() if value):
            yield f"endpoint.{key}", f"is for kind psc, and kind is {endpoint.kind}; remove one of them"
        return
    if not endpoint.allowed_projects:
        yield "endpoint.allowedProjects", "is missing, and kind psc needs it: nobody could connect"
    if not endpoint.address:
        yield (
            "endpoint.address",
            "is missing, and kind psc needs it: http:// and the IP address that you have reserved for the forwarding "
            "rule to the endpoint, or https:// and the name of a DNS record for it",
        )
    elif _IP_BY_TLS.fullmatch(endpoint.address):
        yield (
            "endpoint.address",
            f"is {endpoint.address}, and the certificate there is for *.prediction.p.vertexai.goog: give the name of a "
            "DNS record, or http://",
        )


def encryption(encryption: Encryption, region: str) -> Iterator[Fault]:
    """What is wrong with a given key.

    Source: Vertex AI documentation, customer-managed encryption keys (the key's location is the resource's).
    """
    location = encryption.kms_key.split("/")[3] if encryption.kms_key else region
    if location != region:
        yield "encryption.kmsKey", f"is a key in {location}; bucket, models and endpoint in {region} need one there"


def canary(canary: Canary | None, update: str) -> Iterator[Fault]:
    """What is wrong with a canary."""
    if canary and update == "replace":
        yield "canary", "keeps two deployed models, and update: replace has room for one; use update: surge"


def access(access: Access, *, key: str) -> Iterator[Fault]:
    """Whether a role would go to everyone."""
    for index, member in enumerate(access.members):
        if member in _EVERYONE:
            yield f"{key}.members[{index}]", f"{member} is everyone; name users, groups or service accounts"


def labels(labels: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with labels."""
    if len(labels) > _MAX_LABELS:
        yield "labels", f"has {len(labels)} labels; {_MAX_LABELS} are the most"
    for name, value in labels.items():
        if name.startswith(("cohost", "goog")):
            yield f"labels.{name}", "begins with a prefix that is not yours to use (cohost, goog)"
        elif not (_LABEL_KEY.fullmatch(name) and _LABEL_VALUE.fullmatch(value)):
            yield (
                f"labels.{name}",
                "is not a label of Google's: 63 at most of a-z, 0-9, - and _, the first of the name a letter",
            )
