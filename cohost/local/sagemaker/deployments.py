"""What happens to endpoints in the background: fleets come up, take the traffic, are watched, and end.

The record of an endpoint says at every moment what is to be done, so that a process that starts with the state of
a killed one goes on where that was: `Deployed` is the fleet that the endpoint has, `Coming` the one it is to get.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import Final

from botocore.exceptions import BotoCoreError

from cohost.local.ending import Ending, EndingError
from cohost.local.sagemaker import plans
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.control import Caller, now
from cohost.local.sagemaker.endpoints import CREATING, DELETING, FAILED, IN_SERVICE, ROLLING_BACK, UPDATING
from cohost.local.sagemaker.errors import ProvisioningError
from cohost.local.sagemaker.fleets import Fleets
from cohost.local.sagemaker.plans import Plan, Policy
from cohost.local.sagemaker.state import State
from cohost.local.sagemaker.telemetry import Telemetry
from cohost.local.sagemaker.traffic import Serving, Traffic
from cohost.local.tables import Record

_LOG: Final = logging.getLogger(__name__)
_REASON_LENGTH: Final = 1024  # botocore's model, FailureReason
_WATCH_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0


class Deployments:
    """Does what the records of endpoints say, one thing at a time for each endpoint."""

    def __init__(self, state: State, cloud: Cloud, fleets: Fleets, traffic: Traffic, telemetry: Telemetry) -> None:
        self._state, self._cloud, self._fleets = state, cloud, fleets
        self._traffic, self._telemetry = traffic, telemetry
        self._guard = threading.Lock()
        self._one_at_a_time: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._ending = Ending()

    def resume(self) -> None:
        """Takes up every endpoint that the state holds."""
        for arn in list(self._state.endpoints):
            self.begin(arn)

    def begin(self, arn: str) -> None:
        """Does what an endpoint's record says, in the background."""
        threading.Thread(target=self._work, args=(arn,), daemon=True).start()

    def sample(self) -> None:
        """Measures every instance that serves."""
        for serving in self._traffic.all().values():
            for instance in serving.fleet.instances:
                serving.meter.sample(instance)

    def end(self) -> None:
        """Leaves what is under way as it is recorded."""
        self._ending.begin()

    def _work(self, arn: str) -> None:
        with self._guard:
            lock = self._one_at_a_time[arn]
        with lock, suppress(EndingError):
            self._carry_out(arn)

    def _carry_out(self, arn: str) -> None:
        status = self._status(arn)
        if status == CREATING:
            self._create(arn)
        elif status == DELETING:
            self._delete(arn)
        elif status not in (None, FAILED):
            old = self._traffic.now(arn) or self._restore(arn)
            if old and self._status(arn) == UPDATING:
                self._update(arn, old)
            elif old and self._status(arn) == ROLLING_BACK:
                self._write(arn, EndpointStatus=IN_SERVICE, Coming=None, Stage=None)

    def _create(self, arn: str) -> None:
        caller, record, plan = self._next(arn)
        try:
            serving = self._bring_up(caller, arn, record, plan)
        except Exception as error:
            self._write(arn, EndpointStatus=FAILED, FailureReason=_reason(error), Coming=None, Stage=None)
            return
        self._traffic.switch(arn, serving)
        self._write(arn, EndpointStatus=IN_SERVICE, Deployed=plans.kept(plan), Coming=None, Stage=None)

    def _update(self, arn: str, old: Serving) -> None:
        if not self._state.endpoints[arn].get("Coming"):
            # Killed when only the old fleet was left to end.
            self._write(arn, EndpointStatus=IN_SERVICE, Stage=None)
            return
        caller, record, plan = self._next(arn)
        if plan.mark == old.plan.mark:
            self._scale(arn, caller, old, plan)
        else:
            self._replace(arn, caller, record, old, plan)

    def _scale(self, arn: str, caller: Caller, old: Serving, plan: Plan) -> None:
        try:
            serving = self._fleets.scale(caller, old, plan)
        except Exception as error:
            self._write(arn, EndpointStatus=IN_SERVICE, FailureReason=_reason(error), Coming=None)
            return
        self._traffic.switch(arn, serving)
        self._write(arn, EndpointStatus=IN_SERVICE, Deployed=plans.kept(plan), Coming=None)

    def _replace(self, arn: str, caller: Caller, record: Record, old: Serving, plan: Plan) -> None:
        """Blue/green: the new fleet takes all traffic at once, and gives it back when it does not do well."""
        policy = Policy.of(record.get("LastDeploymentConfig"))
        new: Serving | None = None
        try:
            new = self._bring_up(caller, arn, record, plan)
            self._enter(arn, "ActivatingTraffic")
            self._traffic.switch(arn, new)
            self._enter(arn, "Baking")
            self._watch(caller, plan, policy)
        except Exception as error:
            self._write(arn, EndpointStatus=ROLLING_BACK, FailureReason=_reason(error), Stage=None)
            self._traffic.switch(arn, old)
            if new:
                self._fleets.bring_down(new.fleet)
            self._write(arn, EndpointStatus=IN_SERVICE, Coming=None)
            return
        self._ending.sleep(policy.linger)
        self._write(arn, EndpointConfigName=plan.config, Deployed=plans.kept(plan), Coming=None, Stage=None)
        self._fleets.bring_down(old.fleet)
        self._write(arn, EndpointStatus=IN_SERVICE)

    def _delete(self, arn: str) -> None:
        serving = self._traffic.end(arn)
        if serving:
            self._fleets.bring_down(serving.fleet)
        # What it has still to say, while its role and its log group are there.
        self._telemetry.flush()
        self._ending.stay()
        with self._state.changing():
            self._state.endpoints.pop(arn, None)
            self._state.tags.pop(arn, None)

    def _restore(self, arn: str) -> Serving | None:
        """Brings the fleet up that an endpoint had when the process before this one ended."""
        status = self._status(arn)
        while self._status(arn) == status:
            record = self._state.endpoints[arn]
            plan = plans.deployed(record)
            assert plan is not None
            try:
                serving = self._fleets.bring_up(_caller(arn), record["EndpointName"], plan, again=True)
            except Exception as error:
                _LOG.error("%s does not come back: %s", arn, _reason(error))
                self._ending.sleep(_RETRY_SECONDS)
                continue
            self._ending.stay()
            self._traffic.switch(arn, serving)
            return serving
        return None

    def _bring_up(self, caller: Caller, arn: str, record: Record, plan: Plan) -> Serving:
        self._enter(arn, "Creating")
        self._fleets.check_image(caller, plan)
        # An alarm that does not exist, or that the role may not read, could not take anything back.
        self._alarms(caller, plan, Policy.of(record.get("LastDeploymentConfig")))
        serving = self._fleets.bring_up(caller, record["EndpointName"], plan)
        self._ending.stay()
        return serving

    def _watch(self, caller: Caller, plan: Plan, policy: Policy) -> None:
        """Watches the alarms for the baking period.

        Raises:
            ProvisioningError: One is in ALARM.
        """
        deadline = time.monotonic() + policy.bake
        while True:
            if tripped := self._alarms(caller, plan, policy):
                # Own words: the service's are not documented.
                raise ProvisioningError(f"Alarms in state ALARM during the deployment: {', '.join(tripped)}.")
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._ending.sleep(min(left, _WATCH_SECONDS))

    def _alarms(self, caller: Caller, plan: Plan, policy: Policy) -> list[str]:
        try:
            return self._cloud.alarms_in_alarm(plan.role, list(policy.alarms), caller.region)
        except BotoCoreError as error:
            self._ending.stay()
            raise ProvisioningError(f"CloudWatch does not answer: {error}") from error

    def _status(self, arn: str) -> str | None:
        self._ending.stay()
        with self._state.reading():
            return self._state.endpoints.get(arn, {}).get("EndpointStatus")

    def _next(self, arn: str) -> tuple[Caller, Record, Plan]:
        with self._state.reading():
            record = dict(self._state.endpoints[arn])
        plan = plans.coming(record)
        assert plan is not None
        return _caller(arn), record, plan

    def _enter(self, arn: str, stage: str) -> None:
        """Records what the coming fleet is at (VariantStatus of PendingProductionVariantSummary)."""
        self._write(arn, Stage={"Status": stage, "StartTime": now()})

    def _write(self, arn: str, **members: object) -> None:
        """Changes an endpoint's record; None removes a member."""
        self._ending.stay()
        with self._state.changing():
            changed = {**self._state.endpoints[arn], **members, "LastModifiedTime": now()}
            # Put in place at once: calls look at the status without waiting for anybody.
            self._state.endpoints[arn] = {name: value for name, value in changed.items() if value is not None}


def _caller(arn: str) -> Caller:
    region, account = arn.split(":")[3:5]
    return Caller(region, account)


def _reason(error: Exception) -> str:
    if isinstance(error, ProvisioningError):
        return str(error)[:_REASON_LENGTH]
    _LOG.error("an endpoint failed for an unexpected reason", exc_info=error)
    return f"{type(error).__name__}: {error}"[:_REASON_LENGTH]
