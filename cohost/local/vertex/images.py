"""Which container images exist, as far as this emulator can know."""

from __future__ import annotations

import re
from typing import Final

from cohost.local.vertex import probes
from cohost.local.vertex.errors import VertexError, invalid, unsupported
from cohost.local.vertex.names import Name
from cohost.local.vertex.protos import Record

_REFERENCE: Final = re.compile(
    r"(?P<region>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<image>[\w./-]+)(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?"
)
_SPEC_MEMBERS: Final = frozenset(
    {
        "imageUri",
        "args",
        "command",
        "env",
        "ports",
        "predictRoute",
        "healthRoute",
        "deploymentTimeout",
        "sharedMemorySizeMb",
        "startupProbe",
        "healthProbe",
    }
)
# ModelContainerSpec.env: names that Vertex AI sets itself.
_RESERVED: Final = "AIP_"


def exists(image: str) -> bool:
    """Tells whether there is such an image: its name says that it holds Triton."""
    found = _REFERENCE.fullmatch(image)
    return bool(found) and "triton" in found["image"]


def check(spec: Record, place: Name) -> None:
    """Checks a model's container; what the emulator cannot start it refuses here.

    An image exists when it is in a repository of the model's own region and its name says that it holds Triton
    (custom container requirements: a regional repository that matches the model's region).

    Raises:
        VertexError: Something is wrong with it. The words are the emulator's own.
    """
    image = spec.get("imageUri", "")
    found = _REFERENCE.fullmatch(image)
    if not found:
        raise invalid(f'The container image "{image}" is not in Artifact Registry.')
    if found["region"] != place.region:
        raise invalid(
            f'The container image "{image}" is in {found["region"]}; a model in {place.region} takes an image of a '
            "repository there."
        )
    if not exists(image):
        agent = f"service-{place.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
        raise VertexError(
            "PERMISSION_DENIED",
            f'Vertex AI Service Agent {agent} does not have permission to access the image "{image}", or it does not '
            "exist.",
        )
    if unknown := spec.keys() - _SPEC_MEMBERS:
        raise unsupported(f"container_spec.{sorted(unknown)[0]}")
    probes.check(spec)
    if spec.get("command") not in (None, ["tritonserver"]):
        raise unsupported("A container_spec.command other than tritonserver")
    if taken := [each["name"] for each in spec.get("env", []) if each["name"].startswith(_RESERVED)]:
        raise invalid(f"The environment variable {taken[0]} is set by Vertex AI and may not be given.")
