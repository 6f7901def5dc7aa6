"""Checks of inputs that the Vertex AI resources share.

Formats: google/cloud/aiplatform/v1, model.proto and model_service.proto; labels as cloud.google.com/compute/docs/
labeling-resources tells for all of Google Cloud.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from cohost.errors import Problem
from cohost.provider import properties
from cohost.provider.properties import Validator, entry
from cohost.provider.resource import Values
from cohost.provider.values import UNKNOWN

MODEL_ID_LENGTH: Final = 63
LABEL_LENGTH: Final = 63
_LAST_PORT: Final = 65535
_REGION: Final = re.compile(r"[a-z]+-[a-z]+\d+")
_PROJECT: Final = re.compile(r"[a-z0-9.:-]+")
_LABEL_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[a-z0-9_-]{0,63}")
_PUSHED: Final = re.compile(r"(?P<place>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/.+")
# Google's own prebuilt images stand in multi-regional repositories and may be used.
_PREBUILT: Final = frozenset({"vertex-ai", "vertex-ai-restricted"})


def problems(news: Values, fields: Mapping[str, Validator], optional: Collection[str] = ()) -> Iterator[Problem]:
    """What is wrong with the inputs of a resource that has exactly these fields, some of them optional."""
    given = {name: check for name, check in fields.items() if name not in optional or news.get(name) is not None}
    absent = set(optional) - set(given)
    return properties.problems({name: value for name, value in news.items() if name not in absent}, given)


def matching(pattern: str, expected: str) -> Validator:
    """A validator of a text of a form.

    Args:
        pattern: A regular expression for the whole of it.
        expected: The form in words, as "… is expected" continues them.
    """
    compiled = re.compile(pattern)

    def validate(path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            yield Problem("", path, f"is {value!r}; {expected} is expected")

    return validate


project: Final = matching(_PROJECT.pattern, "the id of a Google Cloud project")
region: Final = matching(_REGION.pattern, "a region such as europe-west4")
route: Final = matching(r"/\S*", "a path that begins with /")
store_url: Final = matching(r"gs://[^/]+(/[^/]+)*", "gs://<bucket>/<prefix> without a final slash")


def any_text(path: str, value: Any) -> Iterator[Problem]:
    """A text, perhaps an empty one."""
    if not isinstance(value, str):
        yield Problem("", path, f"is {value!r}; a text is expected")


def from_zero(path: str, value: Any) -> Iterator[Problem]:
    """A whole number from 0."""
    if isinstance(value, bool) or (value != 0 and next(properties.count(path, value), None)):
        yield Problem("", path, f"is {value!r}; a whole number from 0 is expected")


def port(path: str, value: Any) -> Iterator[Problem]:
    """A port."""
    if next(properties.count(path, value), None) or value > _LAST_PORT:
        yield Problem("", path, f"is {value!r}; a port from 1 to {_LAST_PORT} is expected")


def labels(path: str, value: Any) -> Iterator[Problem]:
    """Labels that Google Cloud takes."""
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; labels are expected, as {{name: value}}")
        return
    for name, item in value.items():
        if not _LABEL_KEY.fullmatch(name):
            yield Problem("", entry(path, name), "a label begins with a letter and has lowercase letters, digits, _, -")
        elif item is not UNKNOWN and not (isinstance(item, str) and _LABEL_VALUE.fullmatch(item)):
            message = f"is {item!r}; at most {LABEL_LENGTH} lowercase letters, digits, _ and - are expected"
            yield Problem("", entry(path, name), message)


def image(news: Values) -> Iterator[Problem]:
    """An image must stand in a regional repository of the model's region.

    Source: cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, "Push container image".
    """
    where, name = news.get("region"), news.get("image")
    if not isinstance(where, str) or not isinstance(name, str) or not name:
        return
    found = _PUSHED.fullmatch(name)
    if found is None:
        yield Problem("", "image", f"is {name!r}; an image in Artifact Registry is expected, as in {_example(where)}")
    elif found["place"] != where and found["project"] not in _PREBUILT:
        yield Problem(
            "", "image", f"stands in {found['place']}, but the model's region is {where}: copy it into a repository "
            f"there, as in {_example(where)}"
        )  # fmt: skip


def _example(where: str) -> str:
    return f"{where}-docker.pkg.dev/<project>/<repository>/tritonserver@sha256:…"
