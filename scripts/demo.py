"""`make demo`: the whole life cycle on this machine, in a scratch copy of the project; every step is checked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cohost.cli import result  # noqa: E402
from cohost.cli.display import progress  # noqa: E402
from cohost.client import Predictor, smoke  # noqa: E402
from cohost.engine import Operation  # noqa: E402
from cohost.local import emulators, scratch, session  # noqa: E402
from cohost.local.large_model import make_large_model  # noqa: E402

PROJECT: Final = ROOT / ".cohost" / "demo"
STACK: Final = "aws"
CHANGED: Final = "iris"
LARGE: Final = "embeddings"
LARGE_MIB: Final = 32
# Room for the eight models of the catalog, and not for a ninth artifact.
MEMORY: Final = "ml.g5.xlarge=560MiB"


class Failed(Exception):
    """A step did not show what it should."""


def main() -> int:
    """Runs the demonstration; 0 when everything was as promised."""
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare()
        walk_through()
    except Failed as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; `make demo` begins anew", file=sys.stderr)
        return 130
    finally:
        emulators.stop(PROJECT)
    print(f"\nThat was the whole life cycle, in {time.monotonic() - begin:.0f} s, and nothing of it runs any more.")
    print("Next: your own model, in README.md.")
    return 0


def prepare() -> None:
    """Makes the scratch project anew, whatever an earlier demonstration left."""
    emulators.stop(PROJECT)
    shutil.rmtree(PROJECT, ignore_errors=True)
    scratch.copy(ROOT, PROJECT)
    make_large_model(PROJECT / "model_artifacts" / LARGE, LARGE, LARGE_MIB, seed=1)
    catalog = PROJECT / "model_artifacts" / "catalog.yaml"
    catalog.write_text(catalog.read_text() + f"  - name: {LARGE}\n    path: {LARGE}\n    owner: search-team\n")


def walk_through() -> None:
    """The story."""
    say(f"Deploy the catalog, with a model of {LARGE_MIB} MiB made just now, behind one SageMaker multi-model endpoint")
    run("local", "limit", "--memory", MEMORY)
    run("local", "up", STACK)
    say("Call every model with real input; what it answers stands beside the truth")
    stack = session.open_stack(PROJECT, STACK)
    os.environ.update(session.environment(stack))
    outputs, _ = session.outputs(stack)
    with Predictor.from_outputs(outputs, interval=1) as predictor:
        before = predictor.models()[CHANGED]
        call_every_model(predictor)
        say(f"Train {CHANGED} again with other settings, and look what `up` would do")
        retrain()
        preview_names_one_model(stack)
        say("One upload, a smoke test on the live endpoint, and the new version is active; the endpoint stays as it is")
        run("local", "up", STACK)
        say("Both versions answer, old and new")
        old_and_new(predictor, before)
        say("The endpoint had room for eight: the model called the longest ago made way, until it is called again")
        run("local", "models", STACK)
        call(predictor, sorted(predictor.models())[0])
    say("Remove everything")
    run("local", "destroy", STACK)
    nothing_left()


def say(text: str) -> None:
    """Prints a heading."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{plain}", flush=True)


def run(*arguments: str) -> None:
    """Runs a `cohost` command as a user would, and shows it.

    Raises:
        Failed: It failed.
    """
    print(f"$ cohost {' '.join(arguments)}", flush=True)
    code = subprocess.run(command(*arguments), cwd=PROJECT, env=environment(), check=False).returncode
    if code:
        fail(f"cohost {' '.join(arguments)} ended with exit code {code}")


def command(*arguments: str) -> list[str]:
    """The command line of a `cohost` command."""
    return [sys.executable, "-m", "cohost.cli", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, without anything that points somewhere else."""
    return {**emulators.isolated(os.environ), "PYTHONPATH": str(ROOT)}


def fail(message: str) -> NoReturn:
    """Ends the demonstration.

    Raises:
        Failed: Always.
    """
    raise Failed(message)


def call_every_model(predictor: Predictor) -> None:
    """Asks each model its smoke test through the client."""
    for name in sorted(predictor.models()):
        call(predictor, name)


def call(predictor: Predictor, name: str) -> None:
    """Asks one model; prints a few rows of its answer beside the truth.

    Raises:
        Failed: It answers something else than its smoke test expects.
    """
    test = smoke.load(PROJECT / "model_artifacts" / name / smoke.FILE)
    begin = time.perf_counter()
    outputs = predictor.infer(name, test.inputs())
    took = (time.perf_counter() - begin) * 1000
    difference = test.check(outputs)
    if difference:
        fail(f"{name}: {difference}")
    pairs = test.beside_truth(outputs)
    shown = ", ".join(f"{answer} ({truth})" for answer, truth in pairs) or "the vectors asked for"
    print(f"  {name:14} {took:7.1f} ms  answer (truth): {shown}", flush=True)


def retrain() -> None:
    """Trains one model anew, as its owner would, and writes its folder."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from scripts.train import folder, tabular

    recipe = next(recipe for recipe in tabular.RECIPES if recipe.name == CHANGED)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=0.2, random_state=0))
    trained = tabular.train(replace(recipe, estimator=estimator))
    folder.write(trained, PROJECT / "model_artifacts" / CHANGED)


def preview_names_one_model(stack: session.LocalStack) -> None:
    """Shows the preview, and checks that it names the changed model and no other.

    Raises:
        Failed: It names another.
    """
    print(f"$ cohost local preview {STACK}", flush=True)
    with progress(preview=True) as on_event:
        done = session.run(stack, Operation.PREVIEW, on_event=on_event)
    print(result.text(done), flush=True)
    models = {path for change in done.changes for path in change.diff if path.startswith("models[")}
    if done.error or models != {f'models["{CHANGED}"]'}:
        fail(done.error or f"the preview names {sorted(models)}")


def old_and_new(predictor: Predictor, old: str) -> None:
    """Calls one model at the version before and at the active one.

    Raises:
        Failed: Both give the same.
    """
    new = wait_for_another(predictor, old)
    test = smoke.load(PROJECT / "model_artifacts" / CHANGED / smoke.FILE)
    answers = [predictor.infer(CHANGED, test.inputs(), version=version) for version in (old, new)]
    for name, version, answer in zip(("old", "new"), (old, new), answers, strict=True):
        first = "  ".join(f"{value:.3f}" for value in answer["probabilities"][0])
        print(f"  {name} version {version[:12]}: probabilities of the first flower {first}", flush=True)
    if answers[0]["probabilities"].tolist() == answers[1]["probabilities"].tolist():
        fail("both versions answer the same")


def wait_for_another(predictor: Predictor, old: str) -> str:
    """The version that callers get, once the predictor has seen the new release by itself.

    Raises:
        Failed: It never did.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        active = predictor.models()[CHANGED]
        if active != old:
            return active
        time.sleep(0.2)
    fail("the client never saw the new release")


def nothing_left() -> None:
    """Looks into the emulated account.

    Raises:
        Failed: Something is left.
    """
    import boto3

    region = yaml.safe_load((PROJECT / f"Pulumi.{STACK}.yaml").read_text())["config"]["aws:region"]
    client = lambda service: boto3.client(service, region_name=region)  # noqa: E731
    found = {
        "endpoints": client("sagemaker").list_endpoints()["Endpoints"],
        "endpoint configurations": client("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "models": client("sagemaker").list_models()["Models"],
        "buckets": client("s3").list_buckets()["Buckets"],
        "roles": client("iam").list_roles()["Roles"],
        "policies": client("iam").list_policies(Scope="Local")["Policies"],
        "log groups": client("logs").describe_log_groups()["logGroups"],
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "key aliases": [
            alias
            for alias in client("kms").list_aliases()["Aliases"]
            if not alias["AliasName"].startswith("alias/aws/")
        ],
    }
    print("  left in the account: " + ", ".join(f"{len(items)} {kind}" for kind, items in found.items()))
    if any(found.values()):
        fail(f"left: { {kind: items for kind, items in found.items() if items} }")


if __name__ == "__main__":
    sys.exit(main())
