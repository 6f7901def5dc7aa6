"""What an S3 request names, read from its path, query and body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True)
class Named:
    """The things one request is about.

    Attributes:
        bucket: The bucket; empty when it names none.
        keys: Objects.
        upload: Id of a multipart upload.
        part: Number of a part of it.
    """

    bucket: str
    keys: tuple[str, ...]
    upload: str | None
    part: int | None


def named(environ: WSGIEnvironment, body: bytes) -> Named:
    """Returns what a path-style request names."""
    path = unquote(environ["RAW_URI"].partition("?")[0]).lstrip("/")
    bucket, _, key = path.partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    upload, part = query.get("uploadId"), query.get("partNumber")
    keys = (key,) if key else _listed(body) if "delete" in query else ()
    return Named(
        bucket=bucket,
        keys=keys,
        upload=upload[0] if upload else None,
        part=int(part[0]) if part else None,
    )


def _listed(body: bytes) -> tuple[str, ...]:
    """Returns the keys of a DeleteObjects request."""
    try:
        document = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return ()
    return tuple(element.text or "" for element in document.iter() if re.fullmatch(r"(\{.*\})?Key", element.tag))
