"""`cohost plan`: how many models fit, how often a call waits, and what that takes and costs on each platform."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cohost import artifact, settings
from cohost.cli.answer import Answer, size, table
from cohost.cost import money
from cohost.cost.prices import AWS
from cohost.errors import InputError, Problem
from cohost.plan import inputs, machines, traffic
from cohost.plan.inputs import PlannedModel, Told
from cohost.plan.options import Option, cheapest, options
from cohost.plan.sizing import Goal, Sizing
from cohost.plan.traffic import Traffic

_SEED: Final = 1
_NAMES_SHOWN: Final = 6
# What a plan without a stack is made for.
_REGION: Final = "us-east-1"


@dataclass(frozen=True)
class _Plan:
    """Everything that was found."""

    stack: str | None
    models: tuple[PlannedModel, ...]
    traffic: Traffic
    told: Told
    goal: Goal
    options: tuple[Option, ...]


def plan(arguments: argparse.Namespace) -> Answer:
    """Plans a stack's models, or those of a file, on every platform."""
    found = _reckon(arguments)
    return Answer(document=_document(found), text=_text(found))


def _reckon(arguments: argparse.Namespace) -> _Plan:
    spread = _checked(arguments)
    file: Path | None = arguments.rates
    told = inputs.read(file) if file else Told()
    cloud, region, sizes = _of_stack(arguments) if arguments.stack else (AWS, _REGION, None)
    models = inputs.models(told, str(file or ""), sizes=sizes, rate=arguments.rate, traffic=spread)
    kinds = machines.kinds(cloud, region, arguments.instance)
    goal = Goal(arguments.latency_ms / 1000 if arguments.latency_ms else None, _SEED)
    return _Plan(
        stack=arguments.stack,
        models=models,
        traffic=spread,
        told=told,
        goal=goal,
        options=options(models, kinds, told.assumptions, goal),
    )


def _checked(arguments: argparse.Namespace) -> Traffic:
    problems: list[Problem] = []
    for key, value in (("--rate", arguments.rate), ("--latency-ms", arguments.latency_ms)):
        if value is not None and not (math.isfinite(value) and value > 0):
            problems.append(Problem("", key, f"{value} is none; a number above 0 is, such as 2.5"))
    if not arguments.stack and not arguments.rates:
        problems.append(Problem("", "STACK", "is missing: name a stack, or a file of models with --rates FILE"))
    spread = traffic.parse(arguments.traffic)
    if spread is None:
        problems.append(Problem("", "--traffic", f"{arguments.traffic!r} is not uniform or zipf:S, as in zipf:1.1"))
    if problems or spread is None:
        raise InputError(problems)
    return spread


def _of_stack(arguments: argparse.Namespace) -> tuple[str, str, dict[str, int | None]]:
    """The cloud and the region of a stack, and its models with the bytes of those whose folder is here."""
    from cohost.local import stack_config

    root = stack_config.find_root(arguments.root)
    config = stack_config.load(root, arguments.stack)
    cache = artifact.DigestCache.of_project(root)
    chosen, catalog = settings.prepare(config.values, stack=arguments.stack, root=root, cache=cache)
    sizes = {
        model.name: model.path and sum(file.size for file in cache.scan(model.path).artifact_files)
        for model in catalog.models
    }
    return chosen.platform, chosen.region, sizes


def _document(found: _Plan) -> dict[str, Any]:
    """The answer as `cohost/schemas/plan.schema.json` describes it."""
    best = cheapest(found.options)
    return {
        "stack": found.stack,
        "traffic": str(found.traffic),
        "calls_per_second": round(math.fsum(model.rate for model in found.models), 6),
        "latency_target_ms": found.goal.p99 and found.goal.p99 * 1000,
        "assumptions": found.told.assumptions.model_dump(),
        "models": [
            {
                "model": model.name,
                "calls_per_second": round(model.rate, 6),
                "bytes": model.size,
                "memory": model.memory,
                "memory_given": model.measured,
                "service_ms": model.service * 1000,
                "load_s": model.load,
                "store_s": model.store,
            }
            for model in found.models
        ],
        "options": [option.as_document() for option in found.options],
        "cheapest": found.options.index(best) if best else None,
        "warnings": list(_warnings(found)),
    }


def _text(found: _Plan) -> str:
    parts = [
        _head(found),
        _table(found),
        "\n".join(_impossible(found)),
        "\n".join(_verdict(found)),
        "\n".join(f"note: {warning}" for warning in _warnings(found)),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(found: _Plan) -> str:
    models = found.models
    count = "1 model" if len(models) == 1 else f"{len(models)} models"
    rate = math.fsum(model.rate for model in models)
    asked = f"99 % of the calls within {found.goal.p99 * 1000:g} ms" if found.goal.p99 else "no latency asked for"
    memory = size(sum(model.memory for model in models))
    return f"{found.stack or 'plan'}: {count}, {memory} of GPU memory in all, {rate:g} calls a second, {asked}"


def _table(found: _Plan) -> str:
    head = ("", "MACHINES", "ENDPOINTS", "RESIDENT", "HITS", "COLD/H", "P50 MS", "P99 MS", "BUSY", "A MONTH", "")
    rows: list[tuple[str, ...]] = [head]
    for option in found.options:
        sizing = option.sizing
        if sizing is None:
            continue
        rows.append(
            (
                f"{option.kind.platform} {option.machine}",
                str(sizing.machines),
                str(len(sizing.endpoints)),
                f"{sizing.resident:.0f}",
                f"{sizing.hit_ratio:.1%}",
                f"{sizing.cold_calls:.0f}",
                f"{sizing.p50 * 1000:.0f}",
                f"{sizing.p99 * 1000:.0f}",
                f"{sizing.busy:.0%}",
                _month(option),
                _lack(sizing, found.goal),
            )
        )
    return table(rows) if len(rows) > 1 else ""


def _lack(sizing: Sizing, goal: Goal) -> str:
    """What keeps it from being what was asked; empty where nothing does."""
    if sizing.met:
        return ""
    if goal.p99 is not None and sizing.p99 > goal.p99:
        return "too slow"
    return "calls refused" if sizing.refused else "too busy"


def _month(option: Option) -> str:
    if option.per_month is None or option.estimate is None:
        return "no price"
    return f"{money(option.estimate.per_month.maximum)}{option.estimate.mark}"


def _impossible(found: _Plan) -> Iterator[str]:
    for option in found.options:
        if option.sizing is None:
            yield f"{option.kind.platform} {option.machine}: cannot be: {option.why}"


def _verdict(found: _Plan) -> Iterator[str]:
    """The cheapest, and which model goes to which endpoint there and wherever one does not hold all."""
    best = cheapest(found.options)
    if best is None:
        yield "none of these does what was asked, at a price that is known"
        return
    yield f"the cheapest that does it: {best.kind.platform} {best.machine}, {best.kind.fleet.region}"
    shown: set[tuple[tuple[str, ...], ...]] = set()
    for option in found.options:
        groups = tuple(endpoint.models for endpoint in option.sizing.endpoints) if option.sizing else ()
        if len(groups) > 1 and groups not in shown:
            shown.add(groups)
            yield f"{option.kind.platform} {option.machine}, {len(groups)} endpoints:"
            for number, names in enumerate(groups, start=1):
                more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
                yield f"  {number}. {', '.join(names[:_NAMES_SHOWN])}{more}"


def _warnings(found: _Plan) -> Iterator[str]:
    guessed = sum(not model.measured for model in found.models)
    if guessed:
        overhead = size(found.told.assumptions.model_overhead)
        yield (
            f"the GPU memory of {guessed} model{'' if guessed == 1 else 's'} is assumed: the files and {overhead}; "
            "measure two loads (docs/planner.md)"
        )
    if any(option.estimate and option.estimate.mark for option in found.options):
        yield "prices marked ~ are calculated or recalled, not read from a price list (docs/cost.md)"
    for region in sorted({o.kind.fleet.region for o in found.options if o.estimate and o.estimate.unknown}):
        yield f"some machines have no known price in {region}: a plan never takes those for the cheapest"
