"""What the resources of a stack on GCP use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from cohost import tokens
from cohost.cost.prices import ON_DEMAND, SPOT
from cohost.cost.properties import Resource
from cohost.cost.usage import Unpriced, Usage

VERTEX: Final = "Vertex AI"
COMPUTE: Final = "Compute Engine"
STORAGE: Final = "Cloud Storage"
STANDARD_STORAGE: Final = "Standard storage"

BUCKET: Final = "gcp:storage/bucket:Bucket"
DEPLOYED_MODEL: Final = tokens.VERTEX_DEPLOYED_MODEL

BY_USE: Final[Mapping[str, str]] = {
    BUCKET: "objects in Cloud Storage and operations on them",
    DEPLOYED_MODEL: "logs in Cloud Logging, and data that leaves Google's network",
}
# What Google asks nothing for, however long it is there. An endpoint or a model that is not deployed is among it.
FREE: Final = (
    "gcp:artifactregistry/repositoryIamMember:",
    "gcp:kms/cryptoKeyIAMMember:",
    "gcp:projects/",
    "gcp:serviceaccount/",
    "gcp:storage/bucketIAMMember:",
    "gcp:vertex/aiEndpoint:",
    "gcp:vertex/aiEndpointIamMember:",
)
# The price of such a machine holds its GPUs; others have them beside it (Compute Engine guide, GPU machine types).
_WITH_GPUS: Final = ("a2-", "a3-", "a4-", "g2-", "g4-")


def usages(resources: Sequence[Resource]) -> Iterator[Usage | Unpriced]:
    """Yields what costs among the resources of a stack."""
    for resource in resources:
        if resource.type == DEPLOYED_MODEL:
            yield from _deployed(resource)


def _deployed(model: Resource) -> Iterator[Usage | Unpriced]:
    machine = model.text("machineType")
    least, most = model.number("minReplicas"), model.number("maxReplicas")
    if not machine or least is None or most is None:
        yield Unpriced(model.name, "its machine, or how many there are, is not known before the deployment")
        return
    purchase = SPOT if model.props.get("spot") is True else ON_DEMAND
    # A replica of the new release comes up beside each of the old one.
    doubled = model.text("update") == "surge"
    for item, text, count in machine_items(machine, model.text("acceleratorType"), model.number("acceleratorCount")):
        yield Usage(
            name=model.name,
            text=f"{text}, Spot" if purchase == SPOT else text,
            service=VERTEX,
            item=item,
            region=model.region,
            minimum=least * count,
            maximum=most * count,
            purchase=purchase,
            doubled=doubled,
        )


def machine_items(machine: str, accelerator: str, count: Decimal | None) -> list[tuple[str, str, Decimal]]:
    """Returns what a machine with its GPUs is made of, as the price lists have it.

    Args:
        machine: Its type ("g2-standard-8").
        accelerator: Its GPU ("NVIDIA_L4"); empty = none.
        count: How many of them; None = none.

    Returns:
        Item, what a person is told, and how many of it a machine has.
    """
    if not accelerator or not count:
        return [(machine, machine, Decimal(1))]
    if machine.startswith(_WITH_GPUS):
        return [(machine, f"{machine} with {count.normalize():f} {accelerator}", Decimal(1))]
    return [(machine, machine, Decimal(1)), (accelerator, accelerator, count)]
