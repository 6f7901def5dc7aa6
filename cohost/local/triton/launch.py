"""How Triton is started on this machine: the server of its wheel, or else its container."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local.process import LOOPBACK
from cohost.local.triton import install

# Backends share tensors through /dev/shm, for which docker gives 64 MB unless told otherwise.
_SHARED_MEMORY: Final = "1g"


@dataclass(frozen=True)
class Launch:
    """What starts one server.

    Attributes:
        command: The command and its arguments.
        environment: Variables that it needs beside those of this process.
        container: Name of the container that it runs in, if it does.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    container: str | None


def prepare(
    folder: Path,
    *,
    mark: str,
    port: int,
    flags: Sequence[str],
    environment: Mapping[str, str],
    repositories: Sequence[Path] = (),
) -> Launch:
    """Returns how to start a server.

    Args:
        folder: Where the assembled server is, or is put; the server can read what is in it.
        mark: Name of this server in file names and shared memory: letters, digits and hyphens.
        port: Where its front end answers, as the flags say.
        flags: Triton's flags, without those about its backends.
        environment: Variables that the server reads.
        repositories: Folders outside of `folder` that it must be able to read.

    Raises:
        CohostError: There is no Triton for this machine.
    """
    if server := install.wheel():
        triton = install.from_wheel(server, folder)
        command = [*triton.command, *flags, *_backend_flags(triton, mark)]
        return Launch(command, {**environment, **triton.environment}, None)
    if docker := install.docker():
        name = f"{mark}-{uuid.uuid4().hex[:8]}"
        run = [docker, "run", "--rm", "--name", name, "--shm-size", _SHARED_MEMORY]
        run += ["-p", f"{LOOPBACK}:{port}:{port}"]
        for path in (folder, *repositories):
            run += ["-v", f"{path.resolve()}:{path.resolve()}"]
        # Without values, which docker takes from its own environment: a command line is for everyone to read.
        for variable in environment:
            run += ["-e", variable]
        # With AIP_MODE the image puts the command before the flags itself (docker/entrypoint.d/99-check-run-aip-mode.sh
        # of triton-inference-server/server).
        given = [] if "AIP_MODE" in environment else ["tritonserver"]
        return Launch([*run, install.CONTAINER_IMAGE, *given, *flags], environment, name)
    raise CohostError(
        "no Triton for this machine: install nvidia-pytriton (Linux, x86-64), or docker for its container"
    )


def _backend_flags(triton: install.Installation, mark: str) -> list[str]:
    """Returns flags for the backends of an assembled Triton, whose shared memory then has the server's mark."""
    regions = [f"--backend-config={backend},shm-region-prefix-name={mark}" for backend in ("python", "onnxruntime")]
    return [f"--backend-directory={triton.backends}", *regions]
