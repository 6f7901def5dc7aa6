"""A running Triton, behind whichever front end it has, and what is left to clear away after one that was killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import urllib3

from cohost.errors import CohostError
from cohost.local.process import LOOPBACK, Child
from cohost.local.triton import install
from cohost.local.triton.launch import Launch

# Front-end threads: one request each, so this is how many requests run at once (its own default is 8).
THREADS: Final = 16
_SHARED_MEMORY: Final = Path("/dev/shm")
_POLL_SECONDS: Final = 0.02
_PING_SECONDS: Final = 10.0
_STARTS: Final = 3

Server = TypeVar("Server", bound="TritonServer")


@dataclass(frozen=True)
class Reply:
    """What Triton answered.

    Attributes:
        status: HTTP status.
        headers: Lower-case header names to values.
        body: The body as sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class UnreachableError(CohostError):
    """Triton did not answer: it is starting, or it died."""


class PortTakenError(CohostError):
    """Somebody else took the port before Triton did: another one will do."""


class TritonServer:
    """One Triton process on a loopback port of its own; the front ends are subclasses."""

    def __init__(
        self,
        log: Path,
        *,
        mark: str,
        port: int,
        launch: Launch,
    ) -> None:
        """Starts the server.

        Args:
            log: File that its output is added to.
            mark: Name of this server in file names and shared memory: letters, digits and hyphens.
            port: What `free_port` gave, where the command lets it listen.
            launch: What starts it.
        """
        self.port, self.log = port, log
        self._mark, self._container = mark, launch.container
        with log.open("ab") as output:
            self._child = Child(launch.command, env={**os.environ, **launch.environment}, output=output)
        self._pool = urllib3.HTTPConnectionPool(LOOPBACK, port, maxsize=THREADS, block=False, retries=False)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = 60.0,
    ) -> Reply:
        """Sends one request.

        Raises:
            UnreachableError: No answer; a request may or may not have been carried out.
            TimeoutError: No answer within `seconds`.
        """
        try:
            answer = self._pool.request(
                method, path, body=body, headers=headers, timeout=urllib3.Timeout(connect=5, read=seconds)
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TimeoutError(f"Triton took longer than {seconds:.0f} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"Triton does not answer: {error}") from error
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, found, answer.data)

    def _becomes_ready(self, path: str, seconds: float, stay: Callable[[], None] = lambda: None) -> bool:
        """Waits until a path answers well; False when the server ended first, or time is over.

        Args:
            path: What tells that the server is ready.
            seconds: How long that may take.
            stay: Called again and again; ends the waiting by an exception.
        """
        deadline = time.monotonic() + seconds
        while self._child.running():
            with suppress(UnreachableError, TimeoutError):
                if self.request("GET", path, seconds=_PING_SECONDS).status == 200:
                    return True
            stay()
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return False

    def _ended(self, message: str, otherwise: type[CohostError]) -> CohostError:
        """What became of a server that is not ready: somebody else has its port, or something else."""
        return (PortTakenError if "already in use" in self.tail() else otherwise)(message)

    def running(self) -> bool:
        """Tells whether the process still runs."""
        return self._child.running()

    def wait(self) -> None:
        """Waits for the end of the process, whoever brings it."""
        self._child.wait()

    def tail(self, length: int = 2000) -> str:
        """Returns the end of the log, for a message."""
        with suppress(OSError):
            return self.log.read_bytes()[-length:].decode(errors="replace").strip()
        return ""

    def kill(self) -> None:
        """Ends the server and its model processes at once, and gives back their shared memory."""
        if self._container:
            _remove_containers([self._container])
        self._child.kill()
        self._pool.close()
        sweep(self._mark)


def started(make: Callable[[], Server], wait: Callable[[Server], None]) -> Server:
    """Starts a server and waits until it is ready; on another port where somebody else took the first one.

    Args:
        make: Starts one.
        wait: Waits for it.

    Raises:
        Exception: What `make` and `wait` raise; then nothing is left of it.
    """
    for attempt in range(_STARTS):
        server = make()
        try:
            wait(server)
            return server
        except PortTakenError:
            server.kill()
            if attempt == _STARTS - 1:
                raise
        except BaseException:
            server.kill()
            raise
    raise AssertionError("unreachable")


def prefix_of(folder: Path) -> str:
    """Returns how the marks of all servers of a state folder begin."""
    return f"cohost-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"


def clear(folder: Path, prefix: str) -> None:
    """Removes what servers with marks of this beginning left behind when they were killed.

    Args:
        folder: Holds their files.
        prefix: The beginning.
    """
    _sweep_containers(prefix)
    sweep(prefix)
    for left in folder.glob(f"{prefix}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sweep(mark: str) -> None:
    """Removes shared memory that killed servers with this mark, or one that begins so, left behind."""
    with suppress(OSError):
        for region in _SHARED_MEMORY.glob(f"{mark}*"):
            region.unlink(missing_ok=True)


def _sweep_containers(mark: str) -> None:
    """Removes containers that killed servers with a mark beginning so left running (docker only)."""
    docker = install.docker()
    if install.wheel() or not docker:
        return
    listing = [docker, "ps", "-a", "--filter", f"name=^{mark}", "--format", "{{.Names}}"]
    found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    _remove_containers(found)


def _remove_containers(names: Iterable[str]) -> None:
    docker, found = install.docker(), list(names)
    if docker and found:
        subprocess.run([docker, "rm", "-f", *found], capture_output=True, check=False)


_given: set[int] = set()
_giving = threading.Lock()


def free_port() -> int:
    """Returns a free port, never the same twice: Triton shares a port with another Triton without a word."""
    with _giving:
        while True:
            with socket.socket() as probe:
                probe.bind((LOOPBACK, 0))
                port = probe.getsockname()[1]
            if port not in _given:
                _given.add(port)
                return port
