"""Pulumi's names of resources, for a person to read."""

from __future__ import annotations


def name_of(urn: str) -> str:
    """Returns a resource's name."""
    return urn.split("::", 3)[-1]


def short_type(token: str) -> str:
    """Returns a type token without the module's file ("aws:s3/bucket:Bucket" is "aws:s3:Bucket")."""
    package, _, rest = token.partition(":")
    module, _, kind = rest.partition(":")
    return f"{package}:{module.split('/')[0]}:{kind}"
