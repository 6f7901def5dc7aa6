"""What all components of one stack on GCP share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from cohost import ownership
from cohost.gcp_settings import GcpSettings
from components.names import prefix

_HASH_CHARACTERS: Final = 6
# pulumi-gcp 10.2.0, vertex.AiEndpoint, name: at most ten digits, the first not 0.
_ENDPOINTS: Final = 9_000_000_000
_FIRST_ENDPOINT: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack: where it is, whose it is, and what its resources are called.

    Attributes:
        owner: "<project>/<stack>".
        prefix: What names begin with.
        project: The Google Cloud project's id.
        region: The region.
        production: Whether what callers would miss is protected from deletion.
        labels: On every resource that can carry labels.
    """

    owner: str
    prefix: str
    project: str
    region: str
    production: bool
    labels: Mapping[str, str]

    @classmethod
    def current(cls, settings: GcpSettings) -> Stack:
        """Returns the stack that the program runs for."""
        project, stack = pulumi.get_project(), pulumi.get_stack()
        return cls(
            owner=ownership.owner(project, stack),
            prefix=prefix(stack),
            project=settings.project,
            region=settings.region,
            production=settings.production,
            labels={**settings.labels, ownership.OWNER_LABEL: ownership.owner_label(project, stack)},
        )

    def physical(self, name: str) -> str:
        """Returns the logical name from which Pulumi generates a physical one, or a fixed one without a limit."""
        return f"{self.prefix}-{name}"

    def fixed(self, name: str, *, limit: int, separator: str = "-") -> str:
        """Returns a fixed physical name, for what Pulumi cannot make up one.

        Args:
            name: What follows the stack's prefix.
            limit: The most characters there may be; what is longer ends in a hash instead.
            separator: What stands between words: "-", or "_" where hyphens are refused.
        """
        whole = self.physical(name)
        if len(whole) > limit:
            digest = hashlib.sha256(f"{self.owner}/{name}".encode()).hexdigest()[:_HASH_CHARACTERS]
            whole = f"{whole[: limit - _HASH_CHARACTERS - 1].rstrip('-')}-{digest}"
        return whole.replace("-", separator)

    def endpoint_number(self, *immutable: str) -> str:
        """Returns the endpoint's name, which must be a number.

        Args:
            immutable: What the endpoint can never change: with another value it is another endpoint, which can stand
                beside the old one.
        """
        text = "/".join([self.project, self.region, self.owner, *immutable])
        return str(_FIRST_ENDPOINT + int(hashlib.sha256(text.encode()).hexdigest(), 16) % _ENDPOINTS)
