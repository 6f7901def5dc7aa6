"""Bringing fleets up and down: what they need, and how many instances the region has to give."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from cohost.local.sagemaker import images
from cohost.local.sagemaker.cloud import Cloud, Location
from cohost.local.sagemaker.control import Caller
from cohost.local.sagemaker.errors import ProvisioningError
from cohost.local.sagemaker.fleet import Fleet
from cohost.local.sagemaker.instance import Fetched, Spec
from cohost.local.sagemaker.limits import INSTANCE_TYPES, Limits
from cohost.local.sagemaker.meter import Meter, Place
from cohost.local.sagemaker.plans import Plan
from cohost.local.sagemaker.telemetry import Telemetry
from cohost.local.sagemaker.traffic import Serving


class Fleets:
    """All fleets of this process."""

    def __init__(self, folder: Path, prefix: str, cloud: Cloud, limits: Limits, telemetry: Telemetry) -> None:
        """Begins with none.

        Args:
            folder: Where instances keep what they need.
            prefix: What the names of all fleets of this state begin with.
            cloud: The rest of AWS.
            limits: What the region has to give.
            telemetry: Where metrics go.
        """
        self._folder, self._prefix = folder, prefix
        self._cloud, self._limits, self._telemetry = cloud, limits, telemetry
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[str, str, int]] = {}
        self._fleets: set[Fleet] = set()

    def new_mark(self) -> str:
        """Returns a name for a new fleet."""
        return f"{self._prefix}-{uuid.uuid4().hex[:6]}"

    def check_image(self, caller: Caller, plan: Plan) -> None:
        """Checks that the fleet's image can be pulled.

        Raises:
            ProvisioningError: It cannot.
        """
        images.check(plan.image, variant=plan.variant, region=caller.region, account=caller.account)

    def bring_up(self, caller: Caller, endpoint: str, plan: Plan, *, again: bool = False) -> Serving:
        """Starts a fleet.

        Args:
            caller: Where the endpoint belongs.
            endpoint: The endpoint's name.
            plan: What the fleet is made of.
            again: Whether the endpoint had it already, before this process was started.

        Raises:
            ProvisioningError: The region has no such instances, or Triton does not start.
        """
        self._take(caller, plan.mark, plan, plan.count, always=again)
        meter = Meter(
            self._telemetry,
            Place(caller.region, endpoint, plan.variant, plan.role),
            INSTANCE_TYPES[plan.instance_type],
        )
        fleet = Fleet(self._spec(caller, plan, meter))
        with self._lock:
            self._fleets.add(fleet)
        try:
            fleet.scale(plan.count)
        except BaseException:
            self.bring_down(fleet)
            raise
        return Serving(plan, fleet, meter)

    def scale(self, caller: Caller, serving: Serving, plan: Plan) -> Serving:
        """Starts or ends instances of a fleet.

        Raises:
            ProvisioningError: The region has no such instances, or Triton does not start; the fleet is as before.
        """
        before = serving.plan
        self._take(caller, plan.mark, plan, plan.count, always=plan.count <= before.count)
        try:
            serving.fleet.scale(plan.count)
        except ProvisioningError:
            serving.fleet.scale(before.count)
            self._take(caller, plan.mark, before, before.count, always=True)
            raise
        return Serving(plan, serving.fleet, serving.meter)

    def bring_down(self, fleet: Fleet) -> None:
        """Ends a fleet once its last call has ended."""
        fleet.close()
        with self._lock:
            self._fleets.discard(fleet)
            self._taken.pop(fleet.spec.mark, None)

    def abandon(self) -> None:
        """Ends every fleet at once."""
        with self._lock:
            fleets = tuple(self._fleets)
        for fleet in fleets:
            fleet.abandon()

    def _take(self, caller: Caller, mark: str, plan: Plan, count: int, *, always: bool) -> None:
        """Takes instances from the region's, in place of those that the fleet had."""
        place = (caller.region, plan.instance_type)
        with self._lock:
            others = sum(taken[2] for other, taken in self._taken.items() if other != mark and taken[:2] == place)
            if not always and others + count > self._limits.capacity(plan.instance_type):
                raise ProvisioningError(
                    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
                    "Please retry using a different ML instance type or after some time."
                )
            self._taken[mark] = (*place, count)

    def _spec(self, caller: Caller, plan: Plan, meter: Meter) -> Spec:
        prefix = Location.parse(plan.url)

        def fetch(target: str) -> Fetched:
            place = Location(prefix.bucket, prefix.key + target)
            return Fetched(*self._cloud.open_object(plan.role, place, caller.region))

        return Spec(
            folder=self._folder,
            mark=plan.mark,
            variant=plan.variant,
            environment=plan.environment,
            fetch=fetch,
            memory=lambda: self._limits.memory(plan.instance_type),
            disk=lambda: self._limits.disk(plan.instance_type),
            observer=meter,
        )
