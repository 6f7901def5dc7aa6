"""Which fleet answers an endpoint's calls."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from cohost.local.sagemaker.fleet import Fleet
from cohost.local.sagemaker.instance import Instance
from cohost.local.sagemaker.meter import Meter
from cohost.local.sagemaker.plans import Plan


@dataclass(frozen=True)
class Serving:
    """A fleet that is up.

    Attributes:
        plan: What it was made of.
        fleet: Its instances.
        meter: What is measured of it.
    """

    plan: Plan
    fleet: Fleet
    meter: Meter


class Traffic:
    """The fleet of each endpoint, by the endpoint's ARN."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._serving: dict[str, Serving] = {}
        self._closed = False

    def switch(self, arn: str, serving: Serving) -> None:
        """Gives an endpoint's calls to a fleet, from the next one on."""
        with self._changed:
            self._serving[arn] = serving
            self._changed.notify_all()

    def end(self, arn: str) -> Serving | None:
        """Gives an endpoint's calls to nobody; returns who had them."""
        with self._changed:
            self._changed.notify_all()
            return self._serving.pop(arn, None)

    def now(self, arn: str) -> Serving | None:
        """Returns who has an endpoint's calls; None when nobody does."""
        with self._changed:
            return self._serving.get(arn)

    def all(self) -> dict[str, Serving]:
        """Returns every fleet that has calls, by its endpoint's ARN."""
        with self._changed:
            return dict(self._serving)

    def instances(self, endpoint: str) -> list[Instance]:
        """Returns the instances that answer for the endpoints of a name, in whichever region."""
        found = [serving for arn, serving in self.all().items() if arn.endswith(f":endpoint/{endpoint.lower()}")]
        return [instance for serving in found for instance in serving.fleet.instances]

    def wait(self, arn: str, deadline: float) -> Serving | None:
        """Returns who has an endpoint's calls, waiting for a fleet that is on its way (after a restart, say).

        Args:
            arn: The endpoint.
            deadline: Monotonic time until which to wait.

        Returns:
            The fleet; None when there is none by then, or when the process ends.
        """
        with self._changed:
            while not self._closed:
                if found := self._serving.get(arn):
                    return found
                seconds = deadline - time.monotonic()
                if seconds <= 0:
                    return None
                self._changed.wait(seconds)
            return None

    def close(self) -> None:
        """Lets nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._serving.clear()
            self._changed.notify_all()
