"""The instances behind an endpoint's one production variant."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cohost.errors import CohostError
from cohost.local.sagemaker.errors import ProvisioningError
from cohost.local.sagemaker.instance import CALL_SECONDS, Instance, Spec

# A call ends by itself before this.
_DRAIN_SECONDS: Final = CALL_SECONDS + 10


class Fleet:
    """Instances of one kind; a model is always served by the same one, as SageMaker's routing prefers."""

    def __init__(self, spec: Spec) -> None:
        """Begins with no instance."""
        self.spec = spec
        self._scaling = threading.Lock()
        self._changed = threading.Condition()
        self._calls: Counter[str] = Counter()
        self.instances: tuple[Instance, ...] = ()

    def scale(self, count: int) -> None:
        """Starts or ends instances until there are this many; an instance ends when its last call has.

        Raises:
            ProvisioningError: Triton does not start.
        """
        with self._scaling:
            while len(self.instances) < count:
                started = self._start()
                with self._changed:
                    self.instances = (*self.instances, started)
            with self._changed:
                gone = self.instances[count:]
                self.instances = self.instances[:count]
            for instance in gone:
                self._drain(instance)
                instance.close()

    @contextmanager
    def using(self, target: str) -> Iterator[Instance | None]:
        """Holds the instance for a model (rendezvous hashing) for one call; None when there is none any more."""
        with self._changed:
            instance = max(self.instances, key=lambda one: _weight(one.mark, target), default=None)
            if instance:
                self._calls[instance.mark] += 1
        try:
            yield instance
        finally:
            if instance:
                with self._changed:
                    self._calls[instance.mark] -= 1
                    self._changed.notify_all()

    def close(self) -> None:
        """Ends every instance, each when its last call has ended."""
        self.scale(0)

    def abandon(self) -> None:
        """Ends every instance at once."""
        for instance in self.instances:
            instance.close()

    def _drain(self, instance: Instance) -> None:
        deadline = time.monotonic() + _DRAIN_SECONDS
        with self._changed:
            while self._calls[instance.mark] and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            del self._calls[instance.mark]

    def _start(self) -> Instance:
        try:
            return Instance(self.spec, f"{self.spec.mark}-{uuid.uuid4().hex[:8]}")
        except (CohostError, OSError) as error:
            raise ProvisioningError(
                f"The primary container for production variant {self.spec.variant} did not pass the ping health "
                f"check. Please check CloudWatch logs for this endpoint. {error}"
            ) from error


def _weight(mark: str, target: str) -> bytes:
    return hashlib.blake2b(f"{mark}\0{target}".encode(), digest_size=8).digest()
