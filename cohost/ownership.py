"""What says whose a resource is: the beginning of its name, and the tag or label that it carries."""

from __future__ import annotations

import re
from typing import Final

# The tag on AWS, whose value is "<project>/<stack>", and the label on GCP, whose alphabet knows no slash.
OWNER_TAG: Final = "cohost:stack"
OWNER_LABEL: Final = "cohost-stack"
_PREFIX: Final = "cohost"
# A bucket's name has 63 characters at most, of which Pulumi adds 8.
_STACK_CHARACTERS: Final = 32
_LABEL_CHARACTERS: Final = 63


def prefix(stack: str) -> str:
    """Returns what the generated names of a stack's resources begin with: they say whose they are in the account.

    Args:
        stack: The stack's name, of which lower-case letters, digits and hyphens are kept: a bucket's alphabet.
    """
    kept = re.sub(r"[^a-z0-9]+", "-", stack.lower())[:_STACK_CHARACTERS].strip("-")
    return f"{_PREFIX}-{kept}" if kept else _PREFIX


def owner(project: str, stack: str) -> str:
    """Returns the value of the tag `OWNER_TAG`."""
    return f"{project}/{stack}"


def owner_label(project: str, stack: str) -> str:
    """Returns the value of the label `OWNER_LABEL`."""
    return re.sub(r"[^a-z0-9_-]+", "-", f"{project}_{stack}".lower())[:_LABEL_CHARACTERS]
