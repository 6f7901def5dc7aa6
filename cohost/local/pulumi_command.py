"""A local stack on the real `pulumi` command: the same program, providers and emulators, another engine.

Everything `pulumi` writes stays under the stack's folder: its backend, its home, and the private copy of the
stack's settings (`stack init` with a passphrase writes a salt into them). The emulator of the cloud's provider is
attached with PULUMI_DEBUG_PROVIDERS; a plugin named in Pulumi.yaml would stand in for it in every stack.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import yaml

from cohost.engine import Event, Operation, Result, Stack, provider
from cohost.engine.processes import Processes
from cohost.errors import CohostError, DeploymentError
from cohost.local.pulumi_events import Recorder
from cohost.local.stack_config import PROJECT_FILE, stack_file
from cohost.tokens import PLUGIN

_VERB: Final = {
    Operation.UP: ("up", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
    Operation.PREVIEW: ("preview", "--skip-plugin-pre-install"),
    Operation.REFRESH: ("refresh", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
    Operation.DESTROY: ("destroy", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
}
_POLL_SECONDS: Final = 0.1
_INTERRUPTED: Final = "interrupted: nothing more is begun, what was under way was asked to stop"


def execute(stack: Stack, operation: Operation, *, on_event: Callable[[Event], None], parallel: int = 16) -> Result:
    """Runs one operation with the `pulumi` command found in PATH.

    An interrupt stops it in good order and fails the operation; a second one kills it.

    Raises:
        CohostError: There is no `pulumi` command, or the stack cannot be made.
    """
    begin = time.monotonic()
    recorder = Recorder(operation, on_event)
    environment = _environment(stack)
    _prepare(stack, environment)
    log = stack.state.parent / "events.json"
    log.unlink(missing_ok=True)
    arguments = [
        *_VERB[operation],
        *("--stack", stack.name, "--config-file", str(_settings(stack))),
        *("--parallel", str(parallel), "--non-interactive", "--color", "never", "--event-log", str(log)),
        *_policies(stack),
    ]
    with Processes() as processes:
        (cloud,) = stack.providers.keys() - {PLUGIN}
        port = provider.start(f"provider {cloud}", stack.providers[cloud], processes, lambda line: None)
        attached = environment | {"PULUMI_DEBUG_PROVIDERS": f"{cloud}:{port}"}
        said = log.with_name("pulumi.log")
        # A file, not a pipe: should this command be killed, `pulumi` must live on to end in good order.
        with said.open("w") as output:
            process = processes.start([_executable(), *arguments], cwd=stack.root, env=attached, output=output)
        interrupted = _watch(process, processes, log, recorder)
    causes = [_INTERRUPTED if interrupted else None, recorder.error(process.returncode, said.read_text().splitlines())]
    error = "\n".join(filter(None, causes)) or None
    values, secret = _outputs_after(stack, operation, recorder)
    return Result(
        operation=operation,
        summary=recorder.summary(),
        changes=recorder.changes(),
        outputs=values,
        secret_outputs=secret,
        error=error,
        duration_s=time.monotonic() - begin,
        pending=recorder.pending(),
        planned=recorder.planned(),
        policies=recorder.policies(),
    )


def read_outputs(stack: Stack) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Returns the stack's outputs, secrets in plain text, and the names of the secret ones.

    Raises:
        CohostError: There is no `pulumi` command, or it refuses.
    """
    environment = _environment(stack)
    read = ("stack", "output", "--json", "--stack", stack.name)
    masked = json.loads(_call(stack.root, read, environment))
    secret = frozenset(name for name, value in masked.items() if value == "[secret]")
    values = json.loads(_call(stack.root, (*read, "--show-secrets"), environment)) if secret else masked
    return values, secret


def _outputs_after(stack: Stack, operation: Operation, recorder: Recorder) -> tuple[Mapping[str, Any], frozenset[str]]:
    if operation is Operation.PREVIEW:
        return recorder.previewed_outputs(), frozenset()
    return ({}, frozenset()) if operation is Operation.DESTROY else read_outputs(stack)


def _environment(stack: Stack) -> dict[str, str]:
    """Returns the command's environment: nothing reaches outside this machine or this stack's folder."""
    folder = stack.state.parent
    # What `make install` brings: the uv that Pulumi.yaml's toolchain asks for.
    path = os.pathsep.join([stack.environment.get("PATH", ""), str(Path(sys.prefix).parent / ".uv" / "bin")])
    return {
        **stack.environment,
        "PATH": path,
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": stack.passphrase,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # Without it the flag --event-log does not exist.
        "PULUMI_DEBUG_COMMANDS": "true",
    }


def _policies(stack: Stack) -> tuple[str, ...]:
    if stack.policies is None:
        return ()
    config = stack.policies.config_file
    settings = ("--policy-pack-config", str(config.resolve())) if config else ()
    return ("--policy-pack", str(stack.policies.folder), *settings)


def _settings(stack: Stack) -> Path:
    return stack_file(stack.state.parent / "settings", stack.name)


def _prepare(stack: Stack, environment: Mapping[str, str]) -> None:
    """Makes the stack where it does not exist yet, and brings its private settings up to date."""
    backend, settings = stack.state.parent / "backend", _settings(stack)
    backend.mkdir(parents=True, exist_ok=True)
    settings.parent.mkdir(exist_ok=True)
    kept = yaml.safe_load(settings.read_text()) if settings.exists() else {}
    salt = {key: value for key, value in (kept or {}).items() if key == "encryptionsalt"}
    own = yaml.safe_load(stack_file(stack.root, stack.name).read_text()) or {}
    # As a whole: without its salt, which no kill may take, the stack's state could not be read again.
    partial = settings.with_suffix(".partial")
    partial.write_text(yaml.safe_dump(own | salt))
    partial.replace(settings)
    locks = backend / ".pulumi" / "locks"
    if not salt:
        runtime = {"name": stack.project, "runtime": "python"}
        (settings.parent / PROJECT_FILE).write_text(yaml.safe_dump(runtime))
        _call(settings.parent, ("stack", "init", stack.name, "--no-select", "--non-interactive"), environment)
    elif any(entry.is_file() for entry in locks.rglob("*")):
        # This command holds the stack's own lock, so whoever took the backend's is gone.
        _call(stack.root, ("cancel", stack.name, "--yes"), environment)


def _call(cwd: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [_executable(), *arguments],
        cwd=cwd,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DeploymentError(f"pulumi {arguments[0]}: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout


def _executable() -> str:
    found = shutil.which("pulumi")
    if not found:
        raise CohostError(
            "--engine pulumi needs the `pulumi` command in PATH (https://www.pulumi.com/docs/install/); "
            "the embedded engine needs nothing"
        )
    return found


def _watch(process: Popen[str], processes: Processes, log: Path, recorder: Recorder) -> bool:
    """Follows the command to its end; whether the user interrupted it."""
    events = _Tail(log)
    interrupts = 0
    while True:
        try:
            ended = process.poll() is not None
            for line in events.lines():
                recorder.take(json.loads(line))
            if ended:
                return interrupts > 0
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts == 1:
                process.send_signal(signal.SIGINT)
            else:
                processes.kill()


class _Tail:
    """The whole lines of a file that grows, and may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def lines(self) -> list[str]:
        """Those that were not there at the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        return whole.decode().splitlines()
