"""`cohost local …`: a stack's life cycle on the emulators, and the emulators themselves."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

from cohost.cli.answer import Answer, size, table
from cohost.errors import InputError, Problem

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.IGNORECASE)
_COUNTED: Final = ("quota", "capacity")
_SIZED: Final = ("memory", "disk")
# An instance type of SageMaker's, an accelerator of Vertex AI's.
_AWS_TYPE, _GCP_TYPE = "ml.", "NVIDIA_"
# Machines of Vertex AI's are not emulated beyond their GPUs.
_OF_GPUS: Final = ("quota", "memory")


def operate(arguments: argparse.Namespace) -> Answer:
    """Runs `up`, `preview`, `refresh` or `destroy`."""
    from cohost.cli import result
    from cohost.cli.display import Warnings, progress
    from cohost.engine import Operation
    from cohost.local import session

    if arguments.parallel < 1:
        raise InputError([Problem("", "--parallel", f"must be at least 1, not {arguments.parallel}")])
    operation = Operation(arguments.operation)
    pack, pack_config = _policy_pack(arguments)
    stack = session.open_stack(_root(arguments), arguments.stack, _engine(arguments))
    stream = sys.stderr if arguments.json else sys.stdout
    with progress(stream, preview=operation is Operation.PREVIEW) as on_event:
        warnings = Warnings(on_event)
        done = session.run(
            stack,
            operation,
            on_event=warnings.take,
            parallel=arguments.parallel,
            policies=pack,
            policy_config=pack_config,
        )
    for item in done.pending:
        print(f"warning: left unfinished by an earlier run: {item}", file=sys.stderr)
    return Answer(
        document=result.document(stack.name, stack.engine, done, warnings=warnings.seen, pack=pack),
        text=result.text(done),
        exit_code=1 if done.error else 0,
        error=done.error or "",
    )


def _policy_pack(arguments: argparse.Namespace) -> tuple[Path | None, Path | None]:
    """Returns the folder of the policy pack and the file with its settings; only `up` and `preview` can have one.

    Raises:
        InputError: There are settings for no pack.
    """
    pack, config = getattr(arguments, "policy_pack", None), getattr(arguments, "policy_pack_config", None)
    if config and not pack:
        raise InputError([Problem("", "--policy-pack-config", "belongs to a pack; name that with --policy-pack")])
    return pack, config


def output(arguments: argparse.Namespace) -> Answer:
    """Shows the stack's outputs, secrets masked."""
    from cohost.cli import result
    from cohost.local import session

    stack = session.open_stack(_root(arguments), arguments.stack, _engine(arguments))
    shown = result.masked(*session.outputs(stack))
    return Answer(document=shown, text=result.outputs_text(shown))


def env(arguments: argparse.Namespace) -> Answer:
    """Prints the variables that point the cloud's clients at the emulators, for a shell to evaluate."""
    from cohost.local import session

    variables = session.environment(session.open_stack(_root(arguments), arguments.stack))
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return Answer(document=variables, text="\n".join(lines))


def status(arguments: argparse.Namespace) -> Answer:
    """Shows which emulators run and which local stacks there are."""
    from cohost.local import emulators, session

    root = _root(arguments)
    running = emulators.status(root)
    processes: list[dict[str, Any]] = []
    for name in emulators.NAMES:
        found = running.get(name)
        processes.append(
            {
                "name": name,
                "running": found is not None,
                "pid": found.process.pid if found else None,
                "url": found.url if found else None,
                "log": str(emulators.log_file(root, name)),
            }
        )
    stacks = [{"stack": name, "engine": engine.value} for name, engine in session.deployed(root).items()]
    rows = [("EMULATOR", "PID", "URL", "LOG")]
    rows += [
        (item["name"], str(item["pid"] or "-"), item["url"] or "not running", _short(Path(item["log"]), root))
        for item in processes
    ]
    deployed = [f"local stack {item['stack']} ({item['engine']} engine)" for item in stacks]
    return Answer(document={"emulators": processes, "stacks": stacks}, text="\n".join([table(rows), *deployed]))


def stop(arguments: argparse.Namespace) -> Answer:
    """Ends every process of the emulators."""
    from cohost.local import emulators

    ended = emulators.stop(_root(arguments))
    text = f"ended {len(ended)} processes; their resources stay" if ended else "nothing was running"
    return Answer(document={"ended": sorted(process.pid for process in ended)}, text=text)


def limit(arguments: argparse.Namespace) -> Answer:
    """Shows or sets the limits of the emulated account."""
    from cohost.local import emulators

    root = _root(arguments)
    asked = _limits(arguments)
    if asked and arguments.clear:
        raise InputError([Problem("", "--clear", "forgets every limit; it cannot stand beside new ones")])
    known: dict[str, dict[str, int]] = {}
    for cloud, begins in ((emulators.AWS, _AWS_TYPE), (emulators.GCP, _GCP_TYPE)):
        here = {} if arguments.clear else emulators.limits(root, cloud)
        for kind, values in asked.items():
            wanted = {name: value for name, value in values.items() if name.startswith(begins)}
            here = {**here, kind: {**here.get(kind, {}), **wanted}} if wanted else here
        if asked or arguments.clear:
            emulators.set_limits(root, cloud, here)
        known = {kind: {**known.get(kind, {}), **here.get(kind, {})} for kind in (*known, *here)}
    lines = [
        f"{kind} {name} {size(value) if kind in _SIZED else value}"
        for kind, values in known.items()
        for name, value in values.items()
    ]
    return Answer(document=known, text="\n".join(lines) or "no limits are set")


def _limits(arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Reads the limits given as TYPE=VALUE.

    Raises:
        InputError: With every malformed one.
    """
    problems: list[Problem] = []
    limits: dict[str, dict[str, int]] = {}
    for kind in (*_COUNTED, *_SIZED):
        for text in getattr(arguments, kind):
            name, _, value = text.partition("=")
            number = _number(value, sized=kind in _SIZED)
            if number is None or not name.startswith((_AWS_TYPE, _GCP_TYPE)):
                problems.append(Problem("", f"--{kind}", f"{text!r} is not TYPE=VALUE as in {_example(kind)}"))
            elif name.startswith(_GCP_TYPE) and kind not in _OF_GPUS:
                known = " and ".join(f"--{each}" for each in _OF_GPUS)
                message = f"{text!r} cannot be set: of a GPU the local GCP knows {known} alone"
                problems.append(Problem("", f"--{kind}", message))
            else:
                limits.setdefault(kind, {})[name] = number
    if problems:
        raise InputError(problems)
    return limits


def _example(kind: str) -> str:
    value = "512MiB" if kind in _SIZED else "2"
    return " or ".join(f"{name}={value}" for name in ("ml.g5.xlarge", *(["NVIDIA_L4"] if kind in _OF_GPUS else [])))


def _number(text: str, *, sized: bool) -> int | None:
    if not sized:
        return int(text) if text.isdecimal() else None
    match = _SIZE.fullmatch(text)
    if not match:
        return None
    amount, unit = float(match[1]), (match[2] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    return int(amount * base ** (" kmgt".index(unit[0]) if unit else 0))


def _root(arguments: argparse.Namespace) -> Path:
    from cohost.local.stack_config import find_root

    return find_root(arguments.root)


def _engine(arguments: argparse.Namespace) -> Any:
    from cohost.local.session import Engine

    return Engine(arguments.engine) if arguments.engine else None


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
