"""Which models a change adds, changes and removes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cohost.engine.values import UNKNOWN
from cohost.report.preview import Preview
from cohost.tokens import ARTIFACT_SET, SAGEMAKER_ACTIVE_RELEASE, VERTEX_ACTIVE_RELEASE

# The active release first: what is served counts, not what is stored.
_HOLDERS: Final = (SAGEMAKER_ACTIVE_RELEASE, VERTEX_ACTIVE_RELEASE, ARTIFACT_SET)


@dataclass(frozen=True)
class ModelChange:
    """A model that is not served as before.

    Attributes:
        name: What callers ask for.
        op: added, changed or removed.
        before: The artifact's digest of before; empty for an added model.
        after: The digest of after; empty for a removed model, and where a preview cannot know it yet.
    """

    name: str
    op: Literal["added", "changed", "removed"]
    before: str
    after: str


def changes(preview: Preview) -> tuple[ModelChange, ...]:
    """Returns what changes among the models, sorted by name; empty where nothing holds models."""
    for kind in _HOLDERS:
        for resource in preview.resources:
            if resource.type == kind:
                before, after = _models(resource.before), _models(resource.after)
                if after is None:
                    return ()
                return tuple(_compared(before or {}, after))
    return ()


def _models(inputs: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The digests by name; None where the preview does not know the map."""
    found = {} if inputs is None else inputs.get("models", {})
    return found if isinstance(found, Mapping) else None


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ModelChange]:
    found: list[ModelChange] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            op = "added" if old is None else "removed" if new is None else "changed"
            found.append(ModelChange(name, op, str(old or ""), "" if new in (None, UNKNOWN) else str(new)))
    return found
