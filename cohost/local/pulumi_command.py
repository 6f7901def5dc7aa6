"""A local stack on the real `pulumi` command: the same program, providers and emulators, another engine.

Everything `pulumi` writes stays under the stack's folder: its backend, its home, and the private copy of the
stack's settings (`stack init` with a passphrase writes a salt into them). The emulator of the aws provider is
attached with PULUMI_DEBUG_PROVIDERS; a plugin named in Pulumi.yaml would stand in for aws in every stack.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import yaml

from cohost.engine import Event, Launch, Operation, Result, Stack
from cohost.errors import CohostError, DeploymentError
from cohost.local.pulumi_events import Recorder
from cohost.local.stack_config import PROJECT_FILE, stack_file

_VERB: Final = {
    Operation.UP: ("up", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
    Operation.PREVIEW: ("preview", "--skip-plugin-pre-install"),
    Operation.REFRESH: ("refresh", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
    Operation.DESTROY: ("destroy", "--yes", "--skip-preview", "--skip-plugin-pre-install"),
}
_POLL_SECONDS: Final = 0.1
_CANCEL_SECONDS: Final = 60.0


def execute(stack: Stack, operation: Operation, *, on_event: Callable[[Event], None], parallel: int = 16) -> Result:
    """Runs one operation with the `pulumi` command found in PATH.

    Raises:
        CohostError: There is no `pulumi` command, or the stack cannot be made.
        KeyboardInterrupt: The user asked to stop; the command has been stopped in good order.
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
    ]
    with _attached(stack.providers["aws"]) as port:
        attached = environment | {"PULUMI_DEBUG_PROVIDERS": f"aws:{port}"}
        code, said = _run(stack, arguments, attached, log, recorder)
    error = recorder.error(code, said)
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
    settings.write_text(yaml.safe_dump(own | salt))
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


def _run(
    stack: Stack, arguments: Sequence[str], environment: Mapping[str, str], log: Path, recorder: Recorder
) -> tuple[int, str]:
    """Runs the command and follows its log; returns its exit code and what it printed."""
    said = log.with_name("pulumi.log")
    with said.open("wb") as output:
        # A session of its own: Ctrl-C reaches it once and from here, not a second time from the terminal.
        process = subprocess.Popen(
            [_executable(), *arguments],
            cwd=stack.root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _follow(process, log, recorder)
        except KeyboardInterrupt:
            _interrupt(process)
            raise
    return process.returncode, said.read_text(errors="replace")


def _follow(process: subprocess.Popen[bytes], log: Path, recorder: Recorder) -> None:
    with contextlib.ExitStack() as opened:
        lines: IO[str] | None = None
        unfinished = ""
        while True:
            ended = process.poll() is not None
            if lines is None and log.exists():
                lines = opened.enter_context(log.open(encoding="utf-8"))
            *whole, unfinished = (unfinished + (lines.read() if lines else "")).split("\n")
            for line in whole:
                recorder.take(json.loads(line))
            if ended:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Asks the command to finish what runs and stop; ends it when it does not or when the user insists."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(_CANCEL_SECONDS)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _attached(launch: Launch) -> Iterator[int]:
    """Runs a provider for the length of the block; yields its port."""
    with subprocess.Popen(
        launch.command,
        cwd=launch.cwd,
        env=dict(launch.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as provider:
        try:
            assert provider.stdout is not None
            assert provider.stderr is not None
            line = provider.stdout.readline().strip()
            if not line.isdigit():
                said = provider.stderr.read().decode(errors="replace").strip()
                raise DeploymentError(f"the aws provider's emulator did not come up: {said}")
            yield int(line)
        finally:
            provider.terminate()
            provider.communicate()
