"""Smoke tests on a deployed model that gets a share of an endpoint's calls, and whether its GPU is used.

A caller cannot choose who answers on a shared endpoint: each model is asked until the new deployed model has answered,
which the answer's header `X-Vertex-AI-Deployed-Model-Id` tells. An error does not surely have that header.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cohost.errors import DeploymentError
from cohost.provider.context import Context
from cohost.provider.verification import verify_each

if TYPE_CHECKING:
    from cohost.client.smoke import SmokeTest
    from cohost.client.vertex import VertexTransport

# One call; what is not served within a minute on a shared endpoint is never served.
_ANSWER_S: Final = 60.0
# A share of 1 % answers one of 1,000 calls with a probability of 99.996 %; and a new split needs a moment to hold.
_PATIENCE_S: Final = 600.0
_PAUSE_S: Final = 0.25
# When errors that do not tell whose they are must be those of the deployed model: not before a split surely holds,
# and then when the others answer, or when all of so many calls by chance came to the others once in a million times.
_SETTLED_S: Final = 60.0
_ERRORS: Final = 3
_CHANCE: Final = 1e-6
# Triton's metrics (docs/user_guide/metrics.md of triton-inference-server/server, "GPU Metrics"), new every 2 s.
_GPU_METRIC: Final = "nv_gpu_memory_used_bytes"
_GPU_LINE: Final = re.compile(rf"^{_GPU_METRIC}(?:{{[^}}]*}})? +(\S+)", re.MULTILINE)
_GPU_PATIENCE_S: Final = 120.0


@dataclass(frozen=True)
class Probed:
    """Who must answer.

    Attributes:
        deployed_model: Its id.
        share: Its percentage of the endpoint's calls.
    """

    deployed_model: str
    share: int


def verify(
    context: Context,
    transport: VertexTransport,
    probed: Probed,
    models: Mapping[str, str],
    tests: Mapping[str, SmokeTest],
) -> None:
    """Asks every model its smoke test until the deployed model has answered it, several at a time.

    Args:
        context: The operation, on whose line the progress shows.
        transport: The endpoint.
        probed: Whose answers count.
        models: Digest by name.
        tests: Smoke test by name.

    Raises:
        DeploymentError: A model failed, or got no answer from it; with every one that did and the server's own words.
        OperationCancelled: The operation must end first. What has been asked already is not waited for.
    """
    verify_each(context, models, lambda name: _ask(context, transport, probed, name, tests[name]))


def _ask(context: Context, transport: VertexTransport, probed: Probed, name: str, test: SmokeTest) -> str | None:
    """What is wrong with the deployed model's answer, or None."""
    from cohost.client.errors import PredictionError

    inputs, begin = test.inputs(), time.monotonic()
    errors, others, last = 0, 0, "no answer of it"
    while not context.stopped() and (elapsed := time.monotonic() - begin) < _PATIENCE_S:
        if elapsed >= _SETTLED_S and errors >= _ERRORS and (others or _improbable(errors, probed.share)):
            return last
        try:
            reply = transport.infer_reply(name, inputs, timeout=min(_ANSWER_S, max(context.remaining(), 1.0)))
        except PredictionError as error:
            # Another release may not have the model, or take other inputs.
            errors, last = errors + 1, str(error)
            if error.deployed_model == probed.deployed_model:
                return last
            context.pause(_PAUSE_S)
            continue
        if reply.deployed_model == probed.deployed_model:
            return test.check(reply.outputs)
        others += 1
    return f"the deployed model {probed.deployed_model} did not answer within {_PATIENCE_S:g} s: {last}"


def _improbable(calls: int, share: int) -> bool:
    """Whether it cannot be chance that none of so many calls came to who has the share."""
    return (1 - share / 100) ** calls < _CHANCE


def ensure_gpu_used(context: Context, transport: VertexTransport, deployed_model: str) -> None:
    """Makes sure that the GPU holds something: Triton falls back to the CPU without a word (KIND_AUTO).

    Args:
        context: The operation.
        transport: The endpoint.
        deployed_model: Who must answer; every model of it has just been called.

    Raises:
        DeploymentError: The GPU's memory stays empty, or Triton does not tell.
        OperationCancelled: The operation must end first.
    """
    from cohost.client.errors import PredictionError

    begin, told = time.monotonic(), "is not told"
    for _ in context.polls(f"waiting for Triton to tell {_GPU_METRIC}"):
        try:
            body, who = transport.read("metrics", timeout=_ANSWER_S)
        except PredictionError as error:
            raise DeploymentError(_unused(deployed_model, f"cannot be read: {error}")) from error
        if who == deployed_model:
            used = [float(value) for value in _GPU_LINE.findall(body.decode(errors="replace"))]
            if any(value > 0 for value in used):
                context.status(f"the GPU holds the models ({_GPU_METRIC} {sum(used):.3g})", last=True)
                return
            told = "is 0: the models run on the CPU" if used else told
        if time.monotonic() - begin > _GPU_PATIENCE_S:
            raise DeploymentError(_unused(deployed_model, told))
    raise AssertionError("polls ends by an exception only")


def _unused(deployed_model: str, what: str) -> str:
    return (
        f"{_GPU_METRIC} of the deployed model {deployed_model} {what}: look at instance_group in config.pbtxt and at "
        "the image's CUDA version against the machine's driver (docs/traps.md); the setting `verify: {gpu: false}` "
        "skips this check"
    )
