"""What is on the disk and in the memory of one machine, and what goes when there is no room.

The rules are those of SageMaker's multi-model endpoints: a model that is needed is stored on the disk, then loaded;
a model unloaded from memory stays on disk until the disk is full ("How multi-model endpoints work", Amazon SageMaker
developer guide). That the least recently used goes first is not documented there; the emulator does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

# An archive is unpacked beside itself: both must fit on the disk at once (`cohost.fleet.InstanceType`).
_COPIES_WHILE_STORED: Final = 2


@dataclass(frozen=True)
class Extent:
    """What one model takes.

    Attributes:
        memory: Bytes of GPU memory once it is loaded.
        disk: Bytes of its files.
    """

    memory: int
    disk: int


class ModelCache:
    """The accounts of one machine, without time; models are known by their names.

    Attributes:
        evictions: How often a model was unloaded to make room.
        removals: How often a model's files were removed to make room.
    """

    def __init__(self, memory: int, disk: int, extents: Mapping[str, Extent]) -> None:
        """Begins empty.

        Args:
            memory: Bytes of GPU memory for models.
            disk: Bytes of disk for models.
            extents: What each model takes.

        Raises:
            ValueError: A model is larger than the memory, or than half of the disk.
        """
        for name, extent in extents.items():
            if extent.memory > memory or _COPIES_WHILE_STORED * extent.disk > disk:
                raise ValueError(f"{name} does not fit: it takes {extent.memory} of {memory} bytes of memory")
        self._memory, self._disk, self._extents = memory, disk, extents
        # Both in the order of use, the least recent first.
        self._loaded: dict[str, None] = {}
        self._stored: dict[str, None] = {}
        self.memory_used = self.disk_used = 0
        self.evictions = self.removals = 0

    @property
    def loaded(self) -> tuple[str, ...]:
        """The models in memory, the least recently used first."""
        return tuple(self._loaded)

    @property
    def resident(self) -> int:
        """How many models are in memory."""
        return len(self._loaded)

    def holds(self, model: str) -> bool:
        """Whether a model is in memory."""
        return model in self._loaded

    def stores(self, model: str) -> bool:
        """Whether a model's files are on the disk."""
        return model in self._stored

    def touch(self, model: str) -> None:
        """Notes that a model is used now."""
        for kept in (self._loaded, self._stored):
            if model in kept:
                del kept[model]
                kept[model] = None

    def admit(self, model: str, busy: Collection[str] = ()) -> bool:
        """Stores and loads a model, putting out others; both is accounted for at once.

        Args:
            model: One that is not loaded.
            busy: Models that cannot go now.

        Returns:
            Whether it found room; where not, nothing has changed.
        """
        files, memory = self._room_on_disk(model, busy), self._room_in_memory(model, busy)
        if files is None or memory is None:
            return False
        for gone in files:
            self._remove(gone)
        for gone in memory:
            if gone in self._loaded:
                self._unload(gone)
        if model not in self._stored:
            self._stored[model] = None
            self.disk_used += self._extents[model].disk
        self._loaded[model] = None
        self.memory_used += self._extents[model].memory
        self.touch(model)
        return True

    def _room_in_memory(self, model: str, busy: Collection[str]) -> list[str] | None:
        need = self._extents[model].memory - (self._memory - self.memory_used)
        return _gone(need, self._loaded, lambda other: self._extents[other].memory, busy)

    def _room_on_disk(self, model: str, busy: Collection[str]) -> list[str] | None:
        need = _COPIES_WHILE_STORED * self._extents[model].disk - (self._disk - self.disk_used)
        if model in self._stored or need <= 0:
            return []
        # Both are touched together, and so in one order.
        order = chain((other for other in self._stored if other not in self._loaded), self._loaded)
        return _gone(need, order, lambda other: self._extents[other].disk, busy)

    def _unload(self, model: str) -> None:
        del self._loaded[model]
        self.memory_used -= self._extents[model].memory
        self.evictions += 1

    def _remove(self, model: str) -> None:
        if model in self._loaded:
            self._unload(model)
        del self._stored[model]
        self.disk_used -= self._extents[model].disk
        self.removals += 1


def _gone(need: int, order: Iterable[str], size: Callable[[str], int], busy: Collection[str]) -> list[str] | None:
    """The first models in an order that free what is needed; None where all idle ones do not."""
    gone: list[str] = []
    for other in order:
        if need <= 0:
            break
        if other not in busy:
            gone.append(other)
            need -= size(other)
    return gone if need <= 0 else None
