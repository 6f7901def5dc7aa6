"""The instances behind an endpoint's one production variant."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cohost.errors import CohostError
from cohost.local.sagemaker.errors import ProvisioningError
from cohost.local.sagemaker.instance import Fetched, Instance


@dataclass(frozen=True, kw_only=True)
class FleetSpec:
    """What every instance of a fleet has in common.

    Attributes:
        folder: Where instances keep Triton, logs and models.
        mark: What the names of its instances begin with.
        variant: The production variant.
        environment: Variables of the model's container.
        fetch: Opens the archive of a target model.
        memory: Bytes of GPU memory of an instance.
        disk: Bytes of disk of an instance.
    """

    folder: Path
    mark: str
    variant: str
    environment: Mapping[str, str]
    fetch: Callable[[str], Fetched]
    memory: Callable[[], int]
    disk: Callable[[], int]


class Fleet:
    """Instances of one kind; a model is always served by the same one, as SageMaker's routing prefers."""

    def __init__(self, spec: FleetSpec) -> None:
        """Begins with no instance."""
        self.spec = spec
        self._lock = threading.Lock()
        self.instances: tuple[Instance, ...] = ()

    def scale(self, count: int) -> None:
        """Starts or ends instances until there are this many.

        Raises:
            ProvisioningError: Triton does not start.
        """
        with self._lock:
            while len(self.instances) < count:
                self.instances = (*self.instances, self._start())
            gone = self.instances[count:]
            self.instances = self.instances[:count]
        for instance in gone:
            instance.close()

    def route(self, target: str) -> Instance | None:
        """Returns the instance for a model (rendezvous hashing); None while there is none."""
        return max(self.instances, key=lambda one: _weight(one.mark, target), default=None)

    def close(self) -> None:
        """Ends every instance."""
        self.scale(0)

    def _start(self) -> Instance:
        spec = self.spec
        try:
            return Instance(
                spec.folder,
                mark=f"{spec.mark}-{uuid.uuid4().hex[:8]}",
                environment=spec.environment,
                fetch=spec.fetch,
                memory=spec.memory,
                disk=spec.disk,
            )
        except (CohostError, OSError) as error:
            raise ProvisioningError(
                f"The primary container for production variant {spec.variant} did not pass the ping health check. "
                f"Please check CloudWatch logs for this endpoint. {error}"
            ) from error


def _weight(mark: str, target: str) -> bytes:
    return hashlib.blake2b(f"{mark}\0{target}".encode(), digest_size=8).digest()
