"""Starting, stopping and looking at the emulators of one project: processes that outlive the command.

They belong to the project's root: everything they keep and log is under `<root>/.cohost/emulators/`. The file
`processes.json` there records each by process id and start time; a lock makes two commands at once safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cohost.errors import CohostError, DeploymentError
from cohost.local import daemons
from cohost.local.daemons import Process

# Every process of a project's emulators, Triton servers included, carries this in its environment.
_MARK: Final = "COHOST_EMULATORS"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05
_LOOPBACK: Final = "127.0.0.1"
_CLOUD_VARIABLES: Final = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")
# botocore, google-auth and gRPC would send even loopback addresses through a configured proxy.
NO_PROXY: Final = {"NO_PROXY": f"{_LOOPBACK},localhost", "no_proxy": f"{_LOOPBACK},localhost"}


@dataclass(frozen=True)
class Cloud:
    """The emulators that stand for one cloud.

    Attributes:
        platform: "aws" or "gcp".
        base: The emulator of everything that the other one leans on.
        serving: The emulator that serves models; it alone starts Triton servers.
        base_option: The option that tells `serving` where `base` is.
    """

    platform: str
    base: str
    serving: str
    base_option: str


AWS: Final = Cloud("aws", base="aws", serving="sagemaker", base_option="--aws-url")
GCP: Final = Cloud("gcp", base="gcs", serving="vertex", base_option="--storage-url")
CLOUDS: Final = {cloud.platform: cloud for cloud in (AWS, GCP)}
NAMES: Final = tuple(name for cloud in CLOUDS.values() for name in (cloud.base, cloud.serving))


@dataclass(frozen=True)
class Emulator:
    """One emulator as recorded when it started.

    Attributes:
        name: One of `NAMES`.
        process: Its process.
        port: Its port on the loopback interface; 0 while it comes up.
    """

    name: str
    process: Process
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{_LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it is up."""
        return bool(self.port) and daemons.alive(self.process)


def folder(root: Path) -> Path:
    """Returns the folder of a project's emulators."""
    return root / ".cohost" / "emulators"


def state_folder(root: Path, cloud: Cloud) -> Path:
    """Returns the folder where a cloud's emulators keep their state."""
    return folder(root) / cloud.platform


def log_file(root: Path, name: str) -> Path:
    """Returns the log of one emulator."""
    return folder(root) / f"{name}.log"


def status(root: Path) -> dict[str, Emulator]:
    """Returns the emulators that run now, by name."""
    return {name: emulator for name, emulator in _recorded(root).items() if emulator.running}


def serving(root: Path, cloud: Cloud) -> tuple[Emulator, Emulator] | None:
    """Returns a cloud's base and serving emulators when both run."""
    running = status(root)
    if cloud.base in running and cloud.serving in running:
        return running[cloud.base], running[cloud.serving]
    return None


def start(root: Path, cloud: Cloud) -> tuple[Emulator, Emulator]:
    """Starts a cloud's emulators that are not running; those that are keep running.

    An emulator that died comes back on the port it had, with the resources it held.

    Returns:
        The base and the serving emulator, each ready to answer.

    Raises:
        DeploymentError: One does not come up; its log's last lines are in the message.
    """
    if running := serving(root, cloud):
        return running
    state_folder(root, cloud).mkdir(parents=True, exist_ok=True)
    with _lock(root):
        before = _recorded(root)
        _end_strays(root, cloud)
        base = _ensure(root, cloud, cloud.base, before, [])
        if cloud.base in before and before[cloud.base].port != base.port and cloud.serving in before:
            # It was told the old address.
            daemons.end([before[cloud.serving].process], grace_seconds=_STOP_SECONDS)
        return base, _ensure(root, cloud, cloud.serving, before, [cloud.base_option, base.url])


def stop(root: Path) -> list[Process]:
    """Ends every emulator process of a project, the Triton servers they started included.

    Returns:
        The processes that ran and are ended now.
    """
    if not folder(root).is_dir():
        return []
    with _lock(root):
        recorded = [emulator.process for emulator in reversed(_recorded(root).values())]
        belonging = _belonging(root, recorded)
        # The emulators first: each ends its own Triton servers in good order.
        daemons.end(recorded, grace_seconds=_STOP_SECONDS)
        left = [*belonging, *_belonging(root, recorded)]
        daemons.end(left, grace_seconds=1.0)
        _record(root, {})
    return belonging


def isolated(inherited: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment without anything that could point a cloud's clients somewhere."""
    return {name: value for name, value in inherited.items() if not name.startswith(_CLOUD_VARIABLES)}


def served_models(root: Path, cloud: Cloud, endpoint: str) -> list[dict[str, Any]]:
    """Asks the serving emulator what an endpoint holds.

    Returns:
        An entry for each artifact and instance: target, bytes, loaded, since, instance.

    Raises:
        CohostError: The emulators do not run.
    """
    running = status(root)
    if cloud.serving not in running:
        raise CohostError("the local cloud does not run: start it with `cohost local up`")
    query = urllib.parse.urlencode({"endpoint": endpoint})
    with _direct().open(f"{running[cloud.serving].url}/-/models?{query}", timeout=30) as response:
        return json.load(response)


def limits(root: Path, cloud: Cloud) -> dict[str, dict[str, int]]:
    """Returns the limits set for the emulated account or project, by kind and type; empty when none is."""
    file = state_folder(root, cloud) / "limits.json"
    return json.loads(file.read_text()) if file.exists() else {}


def set_limits(root: Path, cloud: Cloud, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Sets the limits of the emulated account; they hold from the next call on."""
    state_folder(root, cloud).mkdir(parents=True, exist_ok=True)
    _write(state_folder(root, cloud) / "limits.json", wanted)


def _ensure(root: Path, cloud: Cloud, name: str, before: Mapping[str, Emulator], arguments: Sequence[str]) -> Emulator:
    """Returns the running emulator, started here when it is not."""
    known = before.get(name)
    if known and known.running:
        return known
    port = known.port if known and _free(known.port) else 0
    command = [
        sys.executable,
        "-m",
        f"cohost.local.{name}",
        "--state",
        str(state_folder(root, cloud)),
        "--port",
        str(port),
    ]
    out = folder(root) / f"{name}.out"
    process = daemons.spawn(
        [*command, *arguments],
        cwd=root,
        env=_daemon_environment(root, cloud),
        stdout=out,
        stderr=log_file(root, name),
    )
    _record(root, _recorded(root) | {name: Emulator(name=name, process=process, port=0)})
    emulator = Emulator(name=name, process=process, port=_port(root, name, process, out))
    _record(root, _recorded(root) | {name: emulator})
    return emulator


def _daemon_environment(root: Path, cloud: Cloud) -> dict[str, str]:
    return isolated(os.environ) | {_MARK: str(state_folder(root, cloud))} | NO_PROXY


def _port(root: Path, name: str, process: Process, out: Path) -> int:
    """Waits for the line `{"port": N}` that says an emulator is ready."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        line, newline, _ = out.read_text().partition("\n")
        if newline:
            return int(json.loads(line)["port"])
        if not daemons.alive(process):
            break
        time.sleep(_POLL_SECONDS)
    daemons.end([process], grace_seconds=_STOP_SECONDS)
    log = log_file(root, name)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise DeploymentError(f"the {name} emulator did not come up; the last lines of {log}:\n{last}")


def _end_strays(root: Path, cloud: Cloud) -> None:
    """Ends the Triton servers of a serving emulator that was killed."""
    running = status(root)
    if cloud.serving not in running:
        recorded = {emulator.process for emulator in running.values()}
        daemons.end([stray for stray in _marked(root, cloud) if stray not in recorded], grace_seconds=1.0)


def _belonging(root: Path, recorded: Sequence[Process]) -> list[Process]:
    """Returns the recorded processes that live, and all that they started."""
    live = [process for process in recorded if daemons.alive(process)]
    sessions = {process.pid for process in live}
    family = [process for process in daemons.everyone() if process.session in sessions]
    marked = [process for cloud in CLOUDS.values() for process in _marked(root, cloud)]
    return list(dict.fromkeys([*live, *family, *marked]))


def _marked(root: Path, cloud: Cloud) -> list[Process]:
    return daemons.with_variable(_MARK, str(state_folder(root, cloud)))


def _recorded(root: Path) -> dict[str, Emulator]:
    file = folder(root) / "processes.json"
    try:
        entries = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    return {
        name: Emulator(name=name, process=Process(**entry["process"]), port=entry["port"])
        for name, entry in entries.items()
    }


def _record(root: Path, emulators: Mapping[str, Emulator]) -> None:
    _write(folder(root) / "processes.json", {name: asdict(emulator) for name, emulator in emulators.items()})


def _write(file: Path, content: Any) -> None:
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(file)


def _free(port: int) -> bool:
    if not port:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True


def _direct() -> urllib.request.OpenerDirector:
    """An opener that no configured proxy comes between."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Lets one command at a time start or stop a project's emulators."""
    import fcntl

    with (folder(root) / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
