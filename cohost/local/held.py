"""What a local stack's state holds, whichever engine keeps it; read without the `pulumi` command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cohost.doctor import state
from cohost.local.session import Engine, LocalStack


def resources(stack: LocalStack) -> Sequence[Mapping[str, Any]]:
    """Returns the resources, those that are being created included; none before the first `up`.

    The embedded engine writes Pulumi's deployment format; the `pulumi` command the same within a checkpoint
    (pulumi/pulumi, pkg/backend/diy: `.pulumi/stacks/<project>/<stack>.json`).
    """
    embedded = stack.engine is Engine.EMBEDDED
    project = stack.config.project
    kept = stack.folder / ("state.json" if embedded else f"backend/.pulumi/stacks/{project}/{stack.name}.json")
    try:
        document = json.loads(kept.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    return state.resources(document["deployment"] if embedded else document["checkpoint"].get("latest"))
