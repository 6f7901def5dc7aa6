"""The `cohost` command: its arguments, and how every command ends.

Handlers are imported when they run, so that `cohost --help` costs nothing but argparse.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cohost.errors import CohostError, InputError

if TYPE_CHECKING:
    from cohost.cli.answer import Answer

_INTERRUPTED = 130
_UNREAD = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line without the program's name; None for this process's own.

    Returns:
        0 done, 1 the operation failed, 2 bad input or usage, 130 interrupted, 141 nobody reads on (`| head`).
    """
    try:
        return _run(arguments)
    except BrokenPipeError:
        # What Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD


def _run(arguments: Sequence[str] | None) -> int:
    parsed = parser().parse_args(arguments)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Whatever a library prints must not mix with the one document on standard output.
        with contextlib.redirect_stdout(sys.stderr) if parsed.json else contextlib.nullcontext():
            answer = _handler(parsed.handler)(parsed)
    except CohostError as error:
        return _refuse(error, as_json=parsed.json)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return _INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)
    return _deliver(answer, as_json=parsed.json)


def _deliver(answer: Answer, *, as_json: bool) -> int:
    for line in answer.error.splitlines():
        print(f"error: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps(answer.document, indent=2))
    elif answer.text:
        print(answer.text)
    sys.stdout.flush()
    return answer.exit_code


def _refuse(error: CohostError, *, as_json: bool) -> int:
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)
    problems = error.problems if isinstance(error, InputError) else ()
    if as_json:
        listed = [{"file": item.file, "key": item.key, "message": item.message} for item in problems]
        print(json.dumps({"error": str(error), "problems": listed}, indent=2))
    return 2 if isinstance(error, InputError) else 1


def _handler(name: str) -> Callable[[argparse.Namespace], Answer]:
    module, function = name.split(":")
    return getattr(importlib.import_module(f"cohost.cli.{module}"), function)


def _interrupt(_number: int, _frame: Any) -> NoReturn:
    """Ends on SIGTERM as on Ctrl-C: in good order."""
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    top = argparse.ArgumentParser(prog="cohost", description="Many models behind one shared GPU endpoint.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _catalog_commands(commands)
    _serving_commands(commands, local=False)
    _review_commands(commands)
    local = commands.add_parser("local", help="the same, on this machine: emulated cloud, real Triton")
    local_commands = local.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _life_cycle_commands(local_commands)
    _serving_commands(local_commands, local=True)
    _doctor_command(local_commands, local=True)
    _emulator_commands(local_commands)
    return top


def _command(
    commands: Any, name: str, handler: str, help_text: str, *, stack: bool = False, **defaults: Any
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=help_text)
    if stack:
        made.add_argument("stack", metavar="STACK", help="the stack's name, as in Pulumi.STACK.yaml")
    made.add_argument("--json", action="store_true", help="print one JSON document, everything else to stderr")
    made.add_argument(
        "-C",
        dest="root",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the project's folder (default: here)",
    )
    made.set_defaults(handler=handler, **defaults)
    return made


def _life_cycle_commands(commands: Any) -> None:
    described = {
        "up": "deploy the stack",
        "preview": "show what `up` would change",
        "refresh": "bring the state up to what is really there",
        "destroy": "delete every resource of the stack",
        "output": "the stack's outputs",
    }
    for name, help_text in described.items():
        handler = "local:output" if name == "output" else "local:operate"
        made = _command(commands, name, handler, help_text, stack=True, operation=name)
        made.add_argument("--engine", choices=("embedded", "pulumi"), help="who runs the program")
        if name != "output":
            made.add_argument("--parallel", type=int, default=16, metavar="N", help="resources at once (default: 16)")
        if name in ("up", "preview"):
            made.add_argument("--policy-pack", type=Path, metavar="DIR", help="hold the stack to this policy pack")
            made.add_argument("--policy-pack-config", type=Path, metavar="FILE", help="the pack's settings, as JSON")


def _serving_commands(commands: Any, *, local: bool) -> None:
    _command(commands, "models", "serving:models", "what is served", stack=True, local=local)
    invoke = _command(commands, "invoke", "serving:invoke", "one prediction", stack=True, local=local)
    invoke.add_argument("model", metavar="MODEL", help="the model's name")
    invoke.add_argument(
        "--input", metavar="FILE", help="a V2 inference request as JSON, - for stdin (default: smoke.json)"
    )
    invoke.add_argument("--version", metavar="DIGEST", help="an artifact other than the active one")
    push = _command(commands, "push", "serving:push", "store a model folder as an artifact", local=local)
    push.add_argument("path", type=Path, metavar="PATH", help="the model's folder, named as the model")
    push.add_argument("--stack", required=True, metavar="STACK", help="the stack whose store it goes to")


def _catalog_commands(commands: Any) -> None:
    validate = _command(commands, "validate", "catalog:validate", "check the catalog and every model in it")
    add = _command(commands, "add", "catalog:add", "make a model folder from an ONNX file")
    add.add_argument("file", type=Path, metavar="FILE.onnx", help="the model")
    add.add_argument("--name", required=True, metavar="N", help="what callers will ask for")
    add.add_argument("--owner", default="unassigned", metavar="TEAM", help="who answers for it")
    for made in (validate, add):
        made.add_argument("--catalog", type=Path, metavar="FILE", help="default: model_artifacts/catalog.yaml")


def _review_commands(commands: Any) -> None:
    _doctor_command(commands, local=False)
    cost = _command(commands, "cost", "cost:cost", "what the stack costs, and what it would elsewhere", stack=True)
    cost.add_argument("--rate", type=float, metavar="CALLS", help="calls per second to reckon the price of a call with")
    _plan_command(commands)
    reports = commands.add_parser("report", help="documents for people, from what the other commands answer")
    kinds = reports.add_subparsers(title="reports", metavar="REPORT", required=True)
    pull_request = _command(kinds, "pr", "report:pr", "the comment on a pull request, as Markdown, from previews")
    pull_request.add_argument(
        "--preview",
        action="append",
        required=True,
        metavar="STACK=FILE",
        help="what `pulumi preview --json` or `cohost local preview --json` printed",
    )


def _plan_command(commands: Any) -> None:
    plan = _command(commands, "plan", "plan:plan", "how many models fit, what that takes and costs on each platform")
    plan.add_argument("stack", nargs="?", metavar="STACK", help="the stack whose catalog is planned (default: --rates)")
    plan.add_argument("--rates", type=Path, metavar="FILE", help="models, their rates and what was measured, as YAML")
    plan.add_argument("--rate", type=float, metavar="N", help="calls a second of all models without one in the file")
    plan.add_argument(
        "--traffic", default="uniform", metavar="uniform|zipf:S", help="how --rate spreads over them (default: uniform)"
    )
    plan.add_argument("--latency-ms", type=float, metavar="P99", help="what 99 %% of the calls may take at the most")
    plan.add_argument(
        "--instance", action="append", default=[], metavar="TYPE", help="a machine to plan for, as ml.g5.xlarge"
    )


def _doctor_command(commands: Any, *, local: bool) -> None:
    help_text = "check account, quota, image and versions before the first `up`"
    _command(commands, "doctor", "doctor:doctor", help_text, stack=True, local=local)


def _emulator_commands(commands: Any) -> None:
    _command(commands, "env", "local:env", "variables that point the cloud's own clients at the emulators", stack=True)
    _command(commands, "status", "local:status", "the emulators' processes and the local stacks")
    _command(commands, "stop", "local:stop", "end every process of the emulators; their resources stay")
    limit = _command(commands, "limit", "local:limit", "show or set the limits of the emulated account or project")
    limit.add_argument("--clear", action="store_true", help="forget every limit")
    for kind, value, meaning in (
        ("quota", "N", "what may serve: AWS instances by type, Google's GPUs by kind (ml.g5.xlarge=2, NVIDIA_L4=2)"),
        ("capacity", "N", "AWS alone: instances of a type that the region has left"),
        ("memory", "SIZE", "GPU memory for models, as 512MiB or 2GB: of an AWS instance type, of one GPU of Google's"),
        ("disk", "SIZE", "AWS alone: disk for artifacts of an instance type"),
    ):
        limit.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            metavar=f"TYPE={value}",
            help=meaning,
        )
