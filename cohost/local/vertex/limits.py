"""What a project may have, and what a test asks of the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cohost import vertex_fleet
from cohost.local.process import read_json
from cohost.local.vertex.errors import VertexError

_DEFAULT_QUOTA: Final = 4
_GB: Final = 10**9
_MIB: Final = 2**20
# An estimate: what a server that holds a model takes of the GPU beside its weights.
_GPU_BYTES_IN_USE: Final = 512 * _MIB


class Limits:
    """The limits in force: defaults, unless `limits.json` says otherwise; read anew on each use.

    The file, all of it optional:
        quota: {accelerator: GPUs that may serve}.
        memory: {accelerator: bytes of memory of one GPU}.
        hold: Name of a deployment stage; every deployment stays there for as long as this says so.
        refuse: {method: {status, message}}; such requests are refused so. Methods are "deployModel", "models:upload",
            or without a verb of their own "GET operations", "PATCH endpoints".
        gpu_memory: Bytes of GPU memory that Triton says it uses; 0 as when it runs on the CPU.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def quota(self, accelerator: str) -> int:
        """GPUs of a kind that the project may serve on."""
        return int(self._get("quota", {}).get(accelerator, _DEFAULT_QUOTA))

    def memory(self, accelerator: str) -> int | None:
        """Bytes of memory of one GPU of a kind; None where neither a limit nor the fleet's data tells."""
        known = vertex_fleet.accelerator(accelerator)
        found = self._get("memory", {}).get(accelerator, known and known.memory_gb * _GB)
        return None if found is None else int(found)

    def holds(self, stage: str) -> bool:
        """Whether deployments are to stay at a stage."""
        return self._get("hold", None) == stage

    def refusal(self, method: str) -> VertexError | None:
        """What requests of a method are to be refused with."""
        found = self._get("refuse", {}).get(method)
        return VertexError(found["status"], found["message"]) if found else None

    def gpu_memory(self) -> int:
        """Bytes of GPU memory in use on a machine that has a GPU."""
        return int(self._get("gpu_memory", _GPU_BYTES_IN_USE))

    def _get(self, key: str, default: Any) -> Any:
        return read_json(self._path).get(key, default)
