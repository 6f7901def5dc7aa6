"""Names of resources: with a project's id on the way in, with its number on the way out, as Google does it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cohost.local.vertex.errors import invalid

_PLACE: Final = re.compile(r"projects/(?P<project>[^/]+)/locations/(?P<region>[a-z0-9-]+)(?P<rest>(?:/.*)?)")
_VERSIONED: Final = re.compile(r"(?P<model>[^@]+)(?:@(?P<version>[^@]+))?")
_TWELVE_DIGITS: Final = 10**11


@dataclass(frozen=True)
class Name:
    """A resource's name, taken apart.

    Attributes:
        project: The project as the caller names it: its id or its number.
        number: The project's number.
        region: The location.
        rest: What stands below, without a leading slash: "endpoints/1".
    """

    project: str
    number: str
    region: str
    rest: str

    @property
    def parent(self) -> str:
        """The location's name."""
        return f"projects/{self.number}/locations/{self.region}"

    @property
    def full(self) -> str:
        """The whole name as Google answers it."""
        return f"{self.parent}/{self.rest}" if self.rest else self.parent


def parse(text: str) -> Name:
    """Takes a resource's name apart.

    Raises:
        VertexError: It is not the name of anything below a location.
    """
    found = _PLACE.fullmatch(text)
    if not found:
        raise invalid(f'"{text}" is not a name of the form projects/*/locations/*/...')
    project = found["project"]
    return Name(project, project_number(project), found["region"], found["rest"].removeprefix("/"))


def canonical(text: str) -> str:
    """Returns a resource's name as Google answers it.

    Raises:
        VertexError: It is not a name.
    """
    return parse(text).full


def project_number(project: str) -> str:
    """Returns a project's number: always the same one for an id."""
    if project.isdecimal():
        return project
    digest = int.from_bytes(hashlib.sha256(project.encode()).digest()[:8], "big")
    return str(_TWELVE_DIGITS + digest % (9 * _TWELVE_DIGITS))


def versioned(name: str) -> tuple[str, str | None]:
    """Returns a model's name without its version, and the version or alias that it names."""
    found = _VERSIONED.fullmatch(name)
    if not found:
        raise invalid(f'"{name}" is not the name of a model')
    return found["model"], found["version"]
