"""`cohost models`, `invoke` and `push`: what a deployed stack serves, on AWS or on the emulators."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cohost import catalog, layout, release
from cohost.cli.answer import Answer, size, table
from cohost.cli.deployed import Deployed, connect
from cohost.errors import CohostError, InputError, Problem
from cohost.folder import shown
from cohost.release import ActiveRelease
from cohost.store import ObjectStore
from cohost.stores import open_store
from cohost.words import did_you_mean


def models(arguments: argparse.Namespace) -> Answer:
    """Lists the models of the active release, and which of them are in memory where the platform tells."""
    deployed = connect(arguments)
    store = open_store(deployed.outputs["store"], region=deployed.region)
    active = _active(store)
    sizes = layout.sizes(store, {name: model.digest for name, model in active.models.items()})
    held = _held(deployed, active.endpoint)
    document = [
        {
            "model": name,
            "artifact": model.digest,
            "target": model.target,
            "bytes": sizes.get(name),
            "loaded": held.get(model.target, (False, None))[0] if held is not None else None,
            "since": held.get(model.target, (False, None))[1] if held is not None else None,
        }
        for name, model in sorted(active.models.items())
    ]
    rows = [("MODEL", "ARTIFACT", "SIZE", "LOADED")]
    rows += [(item["model"], item["artifact"][:12], size(item["bytes"]), _loaded(item)) for item in document]
    return Answer(document=document, text=table(rows))


def invoke(arguments: argparse.Namespace) -> Answer:
    """Makes one prediction; with the model's own smoke test when no input is given."""
    from cohost.client import Predictor, smoke, tensors

    request = _request(arguments.input) if arguments.input else None
    deployed = connect(arguments)
    with Predictor.from_outputs(deployed.outputs) as predictor:
        known = predictor.models()
        test = None
        if request is None:
            version = arguments.version or known.get(arguments.model, "")
            test = smoke.parse(*_smoke_test(deployed, arguments.model, version))
        inputs = test.inputs() if test else request or {}
        outputs = predictor.infer(arguments.model, inputs, version=arguments.version)
    differs = test.check(outputs) if test else None
    document = {
        "model_name": arguments.model,
        "model_version": arguments.version or known[arguments.model],
        "parameters": {"smoke_test": differs or "passed"} if test else {},
        "outputs": [tensors.to_json(name, array) for name, array in outputs.items()],
    }
    return Answer(
        document=document,
        text=json.dumps(document, indent=2),
        exit_code=1 if differs else 0,
        error=f"the answer is not the one that smoke.json expects: {differs}" if differs else "",
    )


def push(arguments: argparse.Namespace) -> Answer:
    """Stores a model folder as an artifact and prints the digest to put in the catalog."""
    from cohost import pushing

    folder = pushing.checked(arguments.path)
    deployed = connect(arguments)
    store = open_store(deployed.outputs["store"], region=deployed.region)
    pushed = pushing.push(folder, store)
    print(f"{pushed.model}: {'stored' if pushed.uploaded else 'was stored already'}", file=sys.stderr)
    return Answer(document=asdict(pushed), text=f"artifact: {pushed.artifact}")


def _active(store: ObjectStore) -> ActiveRelease:
    if store.head(release.CURRENT_KEY) is None:
        raise CohostError(f"no release is active yet: {store.url}/{release.CURRENT_KEY} does not exist")
    return ActiveRelease.from_json(store.get(release.CURRENT_KEY)[0])


def _held(deployed: Deployed, endpoint: str) -> Mapping[str, tuple[bool, str | None]] | None:
    """Returns whether each target is in memory and since when; None on AWS, which does not tell."""
    if not deployed.local:
        return None
    from cohost.local import emulators

    held: dict[str, tuple[bool, str | None]] = {}
    for entry in emulators.served_models(deployed.root, emulators.CLOUDS[deployed.config.platform], endpoint):
        if entry["loaded"] or entry["target"] not in held:
            held[entry["target"]] = (entry["loaded"], entry["since"] if entry["loaded"] else None)
    return held


def _loaded(item: Mapping[str, Any]) -> str:
    if item["loaded"] is None:
        return "-"
    return f"since {item['since']}" if item["loaded"] else "no"


def _request(source: str) -> dict[str, Any]:
    """Reads a V2 inference request.

    Raises:
        InputError: With everything wrong with it.
    """
    from cohost.client import tensors

    where = "standard input" if source == "-" else source
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        items = json.loads(text)["inputs"]
    except OSError as error:
        raise InputError([Problem(where, "", f"cannot be read: {error.strerror}")]) from None
    except (ValueError, KeyError, TypeError):
        raise InputError([Problem(where, "inputs", "is missing; a V2 inference request as JSON has it")]) from None
    problems: list[Problem] = []
    arrays: dict[str, Any] = {}
    for index, item in enumerate(items if isinstance(items, list) else [items]):
        try:
            arrays[item["name"]] = tensors.from_json(item["datatype"], item["shape"], item["data"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            message = f"needs name, datatype, shape and data that fit each other: {error!r}"
            problems.append(Problem(where, f"inputs[{index}]", message))
    if problems:
        raise InputError(problems)
    return arrays


def _smoke_test(deployed: Deployed, name: str, digest: str) -> tuple[bytes, str]:
    """Returns a model's smoke test and where it stands: pushed with the artifact, or in the catalog's folder."""
    store = open_store(deployed.outputs["store"], region=deployed.region)
    if digest and store.head(release.smoke_key(name, digest)):
        key = release.smoke_key(name, digest)
        return store.get(key)[0], f"{store.url}/{key}"
    loaded = catalog.load(deployed.catalog)
    for model in loaded.models:
        if model.name == name and model.path:
            file = model.path / "smoke.json"
            return file.read_bytes(), str(file)
    hint = did_you_mean(name, [model.name for model in loaded.models])
    raise InputError([Problem("", "MODEL", f"{name!r} is not in {shown(deployed.catalog)}{hint}")])
