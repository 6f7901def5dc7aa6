"""Where the real Triton is on this machine, and what it needs around it to start.

Facts of the wheel (nvidia-pytriton 0.7.0): it carries `tritonserver` 2.51.0 with the SageMaker and Vertex AI
front ends, the `python` backend, one stub per Python version, and the shared libraries of both.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import stat
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local.process import write_atomically

CONTAINER_IMAGE: Final = "nvcr.io/nvidia/tritonserver:24.10-py3"
_OWN_BACKENDS: Final = Path(__file__).parent / "backends"

# How the compiler laid out "0.0.0.0", the front ends' default address, in the constructor of Triton's options
# (x86-64): `mov dword [rbx+AT], "0.0."`, two characters from a register, `mov byte [rbx+AT+6], "0"`.
_HEAD: Final = re.compile(rb"\xc7\x83(?P<at>....)0\.0\.", re.DOTALL)
_REACH: Final = 100
_FRONT_ENDS: Final = 4


@dataclass(frozen=True)
class Installation:
    """A Triton that can be started here.

    Attributes:
        command: The server's command, without arguments.
        backends: Backend directory to give it; None where its own will do.
        environment: Variables it needs.
    """

    command: tuple[str, ...]
    backends: Path | None
    environment: Mapping[str, str]


def wheel() -> Path | None:
    """Returns the folder of the wheel's server files; None where the wheel is not installed."""
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "tritonserver"
    return folder if (folder / "bin" / "tritonserver").is_file() else None


def from_wheel(server: Path, folder: Path) -> Installation:
    """Assembles a startable Triton from the wheel's files.

    Args:
        server: What `wheel` returned.
        folder: Where to put the backend directory and the server; made once, then reused.

    Raises:
        CohostError: The wheel has no stub for this Python, or is not the build known here.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise CohostError(f"nvidia-pytriton carries no Python {version} stub: use Python 3.11, 3.12 or 3.13")
    backends = folder / "backends"
    for source in (*(server / "backends" / "python").iterdir(), stub):
        _copy(source, backends / "python" / source.name)
    for source in _OWN_BACKENDS.glob("*/*.py"):
        write_atomically(backends / source.parent.name / source.name, source.read_bytes())
    binary = folder / "bin" / "tritonserver"
    if not (binary.exists() and os.access(binary, os.X_OK)):
        write_atomically(binary, on_loopback((server / "bin" / "tritonserver").read_bytes()))
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    site_packages = server.parents[1]
    libraries = (site_packages / "nvidia_pytriton.libs", *_libpython_folders())
    return Installation(
        command=(str(binary),),
        backends=backends.resolve(),
        environment={
            "LD_LIBRARY_PATH": os.pathsep.join(str(path) for path in libraries),
            "COHOST_SITE_PACKAGES": str(site_packages),
        },
    )


def on_loopback(binary: bytes) -> bytes:
    """Returns the server with front ends that listen on the loopback interface alone.

    Triton 2.51 has no option for the address of its SageMaker and Vertex AI front ends: they listen on every
    interface, without authentication. `127.0.1` is `127.0.0.1` in a form that inet(3) also takes, and as
    long as `0.0.0.0`.

    Raises:
        CohostError: The binary is not laid out as that of the build known here.
    """
    patched = bytearray(binary)
    found = 0
    for head in _HEAD.finditer(binary):
        last = int.from_bytes(head["at"], "little") + 6
        tail = binary.find(b"\xc6\x83" + last.to_bytes(4, "little") + b"0", head.end(), head.end() + _REACH)
        if tail >= 0:
            patched[head.end() - 4 : head.end()] = b"127."
            patched[tail + 6] = ord("1")
            found += 1
    if found != _FRONT_ENDS:
        raise CohostError("this tritonserver would listen on every network interface: install nvidia-pytriton 0.7.0")
    return bytes(patched)


@functools.cache
def docker() -> str | None:
    """Returns the docker command where one is installed."""
    return shutil.which("docker")


def _libpython_folders() -> tuple[Path, ...]:
    """Folders that may hold libpython; a relocated interpreter's own record of it may be stale."""
    folders = (Path(sysconfig.get_config_var("LIBDIR") or "/"), Path(sys.base_prefix) / "lib")
    return tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())


def _copy(source: Path, target: Path) -> None:
    """Copies a file with its mode, once; not a link, since Triton refuses a library outside its folder."""
    if not (target.exists() and os.access(target, os.X_OK)):
        write_atomically(target, source.read_bytes())
        target.chmod(source.stat().st_mode | stat.S_IRUSR | stat.S_IXUSR)
