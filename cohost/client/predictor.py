"""`Predictor`: a caller names a model, the active release says what the platform calls it."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from numpy.typing import NDArray

from cohost.client.errors import BadInput, UnknownModel
from cohost.client.releases import INTERVAL, ActiveReleases
from cohost.client.sagemaker import SageMakerTransport
from cohost.client.tensors import Arrays
from cohost.client.transport import DEFAULT_TIMEOUT, Transport
from cohost.client.vertex import VertexTransport
from cohost.errors import InputError, Problem
from cohost.release import ModelTarget
from cohost.stores import open_store

_TRANSPORTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Transport]]] = {
    "aws": lambda outputs: SageMakerTransport(outputs["endpoint"], outputs["region"]),
    "gcp": lambda outputs: VertexTransport(
        outputs["endpoint"], dedicated_dns=outputs.get("dns"), private_address=outputs.get("address")
    ),
}


class Predictor:
    """Calls the models of one endpoint; one instance serves any number of threads."""

    def __init__(self, transport: Transport, releases: ActiveReleases | None = None) -> None:
        """Combines a transport with the active release.

        Args:
            transport: The platform.
            releases: Maps names to targets; None = the platform knows the models by their names.
        """
        self._transport = transport
        self._releases = releases

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any], *, interval: float = INTERVAL) -> Predictor:
        """A predictor of a deployed stack, with credentials and endpoint overrides of the environment.

        Args:
            outputs: The stack's outputs: `platform`, `region`, `endpoint` and `store` are read, and `dns` of a
                dedicated Vertex AI endpoint, `address` of one by private service connect.
            interval: Seconds between two looks at the active release.

        Raises:
            InputError: An output is missing, or the platform is none that this client knows.
            PredictionError: The platform's own configuration is refused.
        """
        names = ("platform", "region", "endpoint", "store")
        problems = [
            Problem("stack outputs", name, "is missing; give the outputs of a deployed stack")
            for name in names
            if not isinstance(outputs.get(name), str)
        ]
        if not problems and outputs["platform"] not in _TRANSPORTS:
            known = " or ".join(map(repr, _TRANSPORTS))
            problems = [Problem("stack outputs", "platform", f"is {outputs['platform']!r}; it must be {known}")]
        if problems:
            raise InputError(problems)
        store = open_store(outputs["store"], region=outputs["region"])
        transport = _TRANSPORTS[outputs["platform"]](outputs)
        return cls(transport, ActiveReleases(store, interval=interval))

    def infer(
        self,
        model: str,
        inputs: Arrays,
        *,
        version: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> dict[str, NDArray[Any]]:
        """One prediction.

        Args:
            model: The model's name in the catalog.
            inputs: Array by input name, with the batch as first axis where the model batches. Text goes as an
                array of `str` or `bytes`.
            version: The digest of an artifact, where not the active one is wanted.
            timeout: Seconds for everything: a model that is not loaded yet is waited for.

        Returns:
            Array by output name; text comes as `bytes` objects.

        Raises:
            UnknownModel: The active release has no such model.
            BadInput: The model does not take these inputs.
            ModelNotReady: It was not loaded in time.
            Throttled: The platform limited the rate of calls for the whole time.
            AccessDenied: The credentials may not call it.
            ServerError: The model or the platform failed.
        """
        if version is not None:
            return self._call(model, ModelTarget(version, self._transport.target(model, version)), inputs, timeout)
        deadline = time.monotonic() + timeout
        target = self._target(model)
        try:
            return self._call(model, target, inputs, timeout)
        except UnknownModel:
            # The platform no longer has what the release named: perhaps the release is a new one by now.
            renewed = self._target(model, reread=True)
            if renewed == target:
                raise
        return self._call(model, renewed, inputs, max(deadline - time.monotonic(), 0))

    def models(self) -> dict[str, str]:
        """The digest of each model of the active release, by name; empty where the platform keeps none."""
        if self._releases is None:
            return {}
        return {name: model.digest for name, model in self._releases.current().models.items()}

    def close(self) -> None:
        """Closes connections and ends the background thread."""
        if self._releases is not None:
            self._releases.close()
        self._transport.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, model: str, target: ModelTarget, inputs: Arrays, timeout: float) -> dict[str, NDArray[Any]]:
        try:
            return self._transport.infer(target.target, inputs, timeout=timeout)
        except BadInput as error:
            expected = self._releases.inputs(model, target.digest) if self._releases else ""
            if not expected:
                raise
            raise BadInput(f"{error}; expected: {expected}") from error

    def _target(self, model: str, *, reread: bool = False) -> ModelTarget:
        if self._releases is None:
            return ModelTarget("", model)
        release = self._releases.reread() if reread else self._releases.current()
        if model not in release.models:
            # It may have been activated a moment ago.
            release = self._releases.reread()
        if model not in release.models:
            raise UnknownModel(_unknown(model, list(release.models)))
        return release.models[model]


def _unknown(model: str, known: list[str]) -> str:
    close = difflib.get_close_matches(model, known, n=3, cutoff=0.5)
    if close:
        return f"no model {model!r} in the active release; did you mean {' or '.join(map(repr, close))}?"
    some = ", ".join(sorted(known)[:10]) or "none"
    more = f" and {len(known) - 10} more" if len(known) > 10 else ""
    return f"no model {model!r} in the active release; it has {some}{more}"
