"""Rules that hold on every platform; `cohost.aws_rules` and `cohost.gcp_rules` have each platform's own."""

from __future__ import annotations

from collections.abc import Iterator

# A key of the project's namespace ("variant.maxInstances"), and what is wrong.
Fault = tuple[str, str]


def keeping(*, production: bool, force_destroy: bool) -> Iterator[Fault]:
    """Whether a store is to be kept and thrown away at once."""
    if production and force_destroy:
        yield "forceDestroy", "is true, and so is production, which protects the store; one of them must be false"
