"""What `cohost plan` says of situations of the comparison: of the models in docs/comparison/plans, kept beside them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any, Final

from cohost.cli.main import main
from cohost.errors import CohostError
from scripts.comparison.load import DATA

# The situations, with the arguments of each beside its models.
PLANS: Final[Mapping[str, tuple[str, ...]]] = {
    "rare": ("--rate", "1", "--traffic", "zipf:1.1", "--instance", "ml.g5.xlarge", "--instance", "g2-standard-4"),
}
_KEPT: Final = ("machines", "resident", "hit_ratio", "cold_calls_an_hour", "p50_ms", "p99_ms")


def plan(name: str) -> str:
    """Returns a plan as it is kept: its command, and of each platform's option what texts may name.

    Args:
        name: One of `PLANS`.

    Raises:
        CohostError: There is no plan.
    """
    command = ["plan", "--rates", str(DATA / "plans" / f"{name}.yaml"), *PLANS[name]]
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main([*command, "--json"])
    if code:
        raise CohostError(f"`cohost plan` of {name} ended with {code}")
    document = json.loads(printed.getvalue())
    shown = f"cohost plan --rates docs/comparison/plans/{name}.yaml {' '.join(PLANS[name])}"
    options = {option["platform"]: _kept(option) for option in document["options"]}
    kept = {
        "command": shown,
        "models": len(document["models"]),
        "calls_per_second": document["calls_per_second"],
        "assumptions": document["assumptions"],
        "options": options,
    }
    return json.dumps(kept, indent=2) + "\n"


def _kept(option: Mapping[str, Any]) -> dict[str, Any]:
    sizing = {key: option["sizing"][key] for key in _KEPT}
    return {"region": option["region"], "machine": option["machine"], **sizing, "per_month": option["per_month"]}
