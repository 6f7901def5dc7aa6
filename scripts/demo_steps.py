"""What the demonstration's story is made of: headings, commands, a model trained again, and how it all ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from cohost.cli import result
from cohost.cli.display import progress
from cohost.cli.main import main as cohost_command
from cohost.engine import Operation, Result
from cohost.errors import CohostError
from cohost.local import emulators, scratch, session
from cohost.local.emulators import Cloud
from cohost.local.large_model import make_large_model

ROOT: Final = Path(__file__).resolve().parents[1]
PROJECT: Final = ROOT / ".cohost" / "demo"
CHANGED: Final = "iris"
LARGE: Final = "embeddings"
LARGE_MIB: Final = 32
_starting: list[threading.Thread] = []


class Failed(Exception):
    """A step did not show what it should."""


def fail(message: str) -> NoReturn:
    """Ends the demonstration.

    Raises:
        Failed: Always.
    """
    raise Failed(message)


def prepare() -> None:
    """Makes the scratch project anew, whatever an earlier demonstration left, and works in it from then on."""
    emulators.stop(PROJECT)
    shutil.rmtree(PROJECT, ignore_errors=True)
    scratch.copy(ROOT, PROJECT)
    make_large_model(PROJECT / "model_artifacts" / LARGE, LARGE, LARGE_MIB, seed=1)
    catalog = PROJECT / "model_artifacts" / "catalog.yaml"
    catalog.write_text(catalog.read_text() + f"  - name: {LARGE}\n    path: {LARGE}\n    owner: search-team\n")
    # Nothing may point somewhere else.
    _use({**emulators.isolated(os.environ), "PYTHONPATH": str(ROOT)})
    os.chdir(PROJECT)


def end() -> None:
    """Ends every process of the demonstration."""
    for thread in _starting:
        thread.join()
    emulators.stop(PROJECT)


def start_early(cloud: Cloud) -> None:
    """Has a cloud's emulators come up while something else goes on; what fails then fails again in its `up`."""

    def start() -> None:
        with contextlib.suppress(CohostError):
            emulators.start(PROJECT, cloud)

    thread = threading.Thread(target=start)
    _starting.append(thread)
    thread.start()


def say(text: str) -> None:
    """Prints a heading."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}", flush=True)


def cohost(*arguments: str) -> None:
    """Runs a `cohost` command and shows it. It runs in this process: another would import everything once more.

    Raises:
        Failed: It failed.
    """
    print(f"$ cohost {' '.join(arguments)}", flush=True)
    before = dict(os.environ)
    code = cohost_command(arguments)
    _use(before)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        fail(f"cohost {' '.join(arguments)} ended with exit code {code}")


def operate(stack: str, operation: Operation) -> Result:
    """Runs `cohost local up`, `preview` or `destroy` as the command does, and shows it.

    After it this process's clients reach what the stack is deployed to.

    Raises:
        Failed: It failed.
        KeyboardInterrupt: It was interrupted, and has ended in good order.
    """
    print(f"$ cohost local {operation} {stack}", flush=True)
    opened = session.open_stack(PROJECT, stack)
    with progress(preview=operation is Operation.PREVIEW) as on_event:
        done = session.run(opened, operation, on_event=on_event)
    print(result.text(done), flush=True)
    if done.error and any(line.startswith("interrupted") for line in done.error.splitlines()):
        raise KeyboardInterrupt
    if done.error:
        fail(done.error)
    os.environ.update(session.environment(opened))
    return done


def preview_names_one_model(stack: str) -> None:
    """Shows the preview, and checks that it names the changed model and no other.

    Raises:
        Failed: It names another.
    """
    done = operate(stack, Operation.PREVIEW)
    models = {path for change in done.changes for path in change.diff if path.startswith("models[")}
    if models != {f'models["{CHANGED}"]'}:
        fail(f"the preview names {sorted(models)}")


def retrain(strength: float) -> None:
    """Trains one model anew with another strength of its regularisation, as its owner would, and writes its folder."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from scripts.train import folder, tabular

    recipe = next(recipe for recipe in tabular.RECIPES if recipe.name == CHANGED)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=strength, random_state=0))
    trained = tabular.train(replace(recipe, estimator=estimator))
    folder.write(trained, PROJECT / "model_artifacts" / CHANGED)


@contextlib.contextmanager
def setting(stack: str, key: str, value: Mapping[str, Any]) -> Iterator[None]:
    """Has a setting in the stack's file for as long as the block lasts."""
    file = PROJECT / f"Pulumi.{stack}.yaml"
    before = file.read_text()
    lines = [f"  shared-endpoint:{key}:", *(f"    {name}: {item}" for name, item in value.items())]
    print(f"Pulumi.{stack}.yaml:", *lines, sep="\n", flush=True)
    file.write_text(before + "\n".join(lines) + "\n")
    try:
        yield
    finally:
        file.write_text(before)


def _use(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
