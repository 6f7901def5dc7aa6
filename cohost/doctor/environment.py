"""Whether the environment names another place than the stack's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cohost.doctor.check import Finding, warning


def differing(
    key: str, value: str, variables: tuple[str, ...], environment: Mapping[str, str] = os.environ
) -> Finding | None:
    """Returns a warning when a variable says something else; None when none does.

    The stack is not misled, since it reads its configuration alone; whoever types `aws` or `gcloud` beside it is.

    Args:
        key: The configuration's key.
        value: What it says.
        variables: Variables that the cloud's own tools read the same from.
        environment: The variables.
    """
    others = [f"{name}={environment[name]}" for name in variables if environment.get(name) not in (None, "", value)]
    if not others:
        return None
    unset = " ".join(other.partition("=")[0] for other in others)
    return warning(
        f"{key} is {value}, but the environment says {' and '.join(others)}",
        f"the stack goes by {key}; unset {unset}, or set to {value}, lest other tools look elsewhere",
    )
