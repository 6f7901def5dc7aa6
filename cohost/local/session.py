"""A local stack: the project's own program on the emulators, run by the embedded engine or by `pulumi`.

Everything a local stack writes is under `<root>/.cohost/<stack>/`; the checkout stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from cohost import engine, settings
from cohost.digest_cache import DigestCache
from cohost.engine import Event, Launch, Operation, Result
from cohost.errors import CohostError, InputError, Problem
from cohost.local import clouds, emulators, policy_pack, pulumi_command, stack_config
from cohost.local.emulators import Cloud
from cohost.local.event_log import logged
from cohost.local.stack_config import StackConfig
from cohost.tokens import DEPLOYED_STATE


class Engine(StrEnum):
    """Who runs the program."""

    EMBEDDED = "embedded"
    PULUMI = "pulumi"


@dataclass(frozen=True)
class LocalStack:
    """A stack of the project at `root`, as it lives on this machine.

    Attributes:
        root: The folder of Pulumi.yaml.
        config: The stack's configuration.
        engine: The engine that runs it.
    """

    root: Path
    config: StackConfig
    engine: Engine

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.config.stack

    @property
    def folder(self) -> Path:
        """Where this stack keeps its state."""
        return folder(self.root, self.name)

    @property
    def cloud(self) -> Cloud:
        """The cloud that it is for."""
        return emulators.CLOUDS[self.config.platform]


def folder(root: Path, stack: str) -> Path:
    """Returns the folder where a local stack keeps its state."""
    return root / ".cohost" / stack


def open_stack(root: Path, name: str, wanted: Engine | None = None) -> LocalStack:
    """Reads a stack's configuration and finds the engine it is run by.

    Args:
        root: The project's folder.
        name: The stack's name.
        wanted: The engine asked for; None for the one that made the stack, or the embedded one.

    Raises:
        InputError: The configuration is wrong, or the stack was made by another engine.
    """
    config = stack_config.load(root, name)
    if config.platform not in emulators.CLOUDS:
        file = stack_config.stack_file(root, name).name
        said = f"is {config.platform!r}" if config.platform else "is missing"
        known = " and ".join(f'"{platform}"' for platform in emulators.CLOUDS)
        raise InputError([Problem(file, f"{config.project}:platform", f"{said}; the local clouds are {known}")])
    made_by = _made_by(root, name)
    if wanted and made_by and wanted != made_by:
        message = f"the local stack {name} was made by the {made_by} engine, which keeps it until it is destroyed"
        raise InputError([Problem("", "--engine", message)])
    return LocalStack(root=root, config=config, engine=made_by or wanted or Engine.EMBEDDED)


def run(
    stack: LocalStack,
    operation: Operation,
    *,
    on_event: Callable[[Event], None],
    parallel: int = 16,
    policies: Path | None = None,
    policy_config: Path | None = None,
) -> Result:
    """Runs a life-cycle operation, starting the emulators where they do not run.

    Args:
        stack: The stack.
        operation: What to do.
        on_event: Is called with everything a user should see, from any thread.
        parallel: How many resources at once.
        policies: The folder of the policy pack that `up` and `preview` are held to.
        policy_config: The file with the pack's settings.

    Raises:
        InputError: The program's settings or the pack's are wrong; nothing was changed.
        CohostError: Another command works on this stack, or the emulators do not start.
    """
    problems = check(stack) if operation in (Operation.UP, Operation.PREVIEW) else []
    if problems:
        raise InputError(problems)
    pack = policy_pack.read(policies, policy_config, _for_pack(stack)) if policies else None
    stack.folder.mkdir(parents=True, exist_ok=True)
    with _lock(stack):
        emulators.start(stack.root, stack.cloud)
        if operation is Operation.UP:
            (stack.folder / "engine").write_text(stack.engine)
        execute = pulumi_command.execute if stack.engine is Engine.PULUMI else engine.execute
        with logged(stack.folder / "log.txt", operation, on_event) as listener:
            described = replace(_describe(stack), policies=pack)
            result = execute(described, operation, on_event=listener, parallel=parallel)
        if operation is Operation.DESTROY and result.error is None:
            (stack.folder / "engine").unlink(missing_ok=True)
    return result


def deployed(root: Path) -> dict[str, Engine]:
    """Returns the local stacks of a project, each with the engine that made it."""
    found = sorted(file.parent.name for file in (root / ".cohost").glob("*/engine"))
    return {name: engine for name in found if (engine := _made_by(root, name))}


def outputs(stack: LocalStack) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Returns the outputs of the last `up` and the names of the secret ones.

    Raises:
        CohostError: The stack is not deployed.
    """
    if _made_by(stack.root, stack.name) is None:
        raise CohostError(f"the local stack {stack.name} is not deployed: `cohost local up {stack.name}`")
    read = pulumi_command.read_outputs if stack.engine is Engine.PULUMI else engine.read_outputs
    values, secret = read(_describe(stack))
    return values, frozenset(secret)


def environment(stack: LocalStack) -> dict[str, str]:
    """Returns the variables that point the cloud's plain clients at this stack's emulators, started if need be.

    Raises:
        DeploymentError: They do not start.
    """
    emulators.start(stack.root, stack.cloud)
    return clouds.environment(stack.root, stack.cloud, stack.config.values)


def check(stack: LocalStack) -> list[Problem]:
    """Returns everything wrong with the stack's settings and catalog, before anything is started."""
    cache = DigestCache.of_project(stack.root)
    try:
        settings.prepare(stack.config.values, stack=stack.name, root=stack.root, cache=cache)
    except InputError as error:
        return list(error.problems)
    return []


def _describe(stack: LocalStack) -> engine.Stack:
    """Describes the stack to an engine: its configuration, its providers and their environment."""
    # The outputs of a stack can be read while the emulators are down.
    up = emulators.serving(stack.root, stack.cloud)
    reached = clouds.environment(stack.root, stack.cloud, stack.config.values) if up else {}
    variables = _inherited() | reached
    platform = stack.cloud.platform
    return engine.Stack(
        project=stack.config.project,
        name=stack.name,
        root=stack.root,
        config=stack.config.values,
        secret_keys=stack.config.secret_keys,
        providers={
            platform: Launch(
                command=(sys.executable, "-m", f"cohost.local.{platform}_provider"), cwd=stack.root, env=variables
            ),
            "cohost": Launch(command=(sys.executable, "__main__.py"), cwd=stack.root / "provider", env=variables),
        },
        state=stack.folder / "state.json",
        passphrase=_passphrase(stack),
        environment=variables,
    )


def _for_pack(stack: LocalStack) -> dict[str, str]:
    """Returns the environment of a policy pack, which may compare with what is deployed."""
    return _inherited() | {DEPLOYED_STATE: str(stack.folder / "state.json")}


def _inherited() -> dict[str, str]:
    """Returns this process's environment without what would lead to a real cloud or another stack."""
    return {name: value for name, value in emulators.isolated(os.environ).items() if "PULUMI" not in name}


def _made_by(root: Path, name: str) -> Engine | None:
    try:
        return Engine((folder(root, name) / "engine").read_text())
    except FileNotFoundError:
        return None


def _passphrase(stack: LocalStack) -> str:
    """Returns what secrets in this stack's state are encrypted with, made on first use."""
    file = stack.folder / "passphrase"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text()
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_urlsafe(32))
    return file.read_text()


@contextlib.contextmanager
def _lock(stack: LocalStack) -> Iterator[None]:
    """Lets one command at a time change a local stack."""
    import fcntl

    with (stack.folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CohostError(f"another command is working on the local stack {stack.name}; wait for it") from None
        yield
