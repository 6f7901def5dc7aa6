"""What every emulator process has in common: its arguments, its ready line, its end, and its children's end.

An emulator is started as `python -m <module> --state DIR --port N`. It binds the loopback interface only,
prints one line of JSON (`{"port": N}`) on standard output when it answers, logs to standard error, and ends
on SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, ClassVar, Final

from cohost.errors import CohostError
from cohost.folder_lock import held

LOOPBACK: Final = "127.0.0.1"

# The shell waits for the end of its standard input, which only the death of the parent can bring, and takes
# its whole process group with it; it does the same when the command itself ends. Unlike PR_SET_PDEATHSIG this
# covers grandchildren, works on macOS, and does not fire when merely the *thread* that started the child ends
# (prctl(2)). `exec 3<&0` parks the pipe: a shell gives its background commands /dev/null as input.
_GUARDIAN: Final = """
exec 3<&0
("$@" </dev/null 3<&-; kill -KILL 0) &
read -r _ <&3
kill -KILL 0
"""


def parser(description: str) -> argparse.ArgumentParser:
    """Returns a parser with what every emulator takes: `--state` (a folder) and `--port` (0 = any free)."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--state", type=Path, required=True, metavar="DIR", help="folder that outlives the process")
    arguments.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1; 0 = any free one")
    return arguments


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends this process's log to standard error, standard output being the ready line's."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def announce(port: int) -> None:
    """Prints the ready line: one JSON object on standard output, at once."""
    print(json.dumps({"port": port}), flush=True)


def run(serve: Callable[[], None]) -> None:
    """Serves, logging to standard error; what keeps it from serving is one line there."""
    log_to_stderr()
    try:
        serve()
    except (CohostError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def on_termination() -> threading.Event:
    """Returns an event that SIGTERM and SIGINT set; call it in the main thread."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    return ended


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a state folder for this process; the system lets go of it when the process ends, however it does.

    Raises:
        CohostError: Another process serves the folder.
    """
    with held(folder, wait=False) as mine:
        if not mine:
            raise CohostError(f"another process serves {folder}")
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file's content so that a reader, or a kill at any moment, finds the old or the new whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def read_json(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file; an empty one where the file does not exist.

    Raises:
        ValueError: The file is not JSON or not an object.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"{path}: must hold a JSON object")
    return value


class Child:
    """A process group of ours that cannot outlive us: it ends by `kill`, by itself, or when we die."""

    _guard: ClassVar = threading.Lock()
    _living: ClassVar[set[Child]] = set()
    _last_call: ClassVar = False

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], output: IO[bytes] | int) -> None:
        """Starts the command.

        Args:
            command: The command and its arguments.
            env: Its whole environment.
            output: Where its standard output and error go.

        Raises:
            OSError: It cannot be started, or this process is ending.
        """
        with Child._guard:
            if Child._last_call:
                raise OSError("this process is ending")
            self._process = subprocess.Popen(
                [shutil.which("sh") or "/bin/sh", "-c", _GUARDIAN, "guardian", *command],
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            Child._living.add(self)

    @property
    def group(self) -> int:
        """Id of its process group."""
        return self._process.pid

    def running(self) -> bool:
        """Tells whether it still runs."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Waits for its end, whoever brings it."""
        self._process.wait()

    def kill(self) -> None:
        """Ends every process of the group at once, and waits for it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        with Child._guard:
            Child._living.discard(self)

    @classmethod
    def end_all(cls) -> None:
        """Ends every child of this process, those just being started too; no more can be started then."""
        with cls._guard:
            cls._last_call = True
            living = tuple(cls._living)
        for child in living:
            child.kill()
