"""The demonstration's calls: every model's smoke test, both clouds' answers beside each other, a canary's share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cohost.cli.answer import table
from cohost.client import Predictor, smoke
from cohost.client.smoke import SmokeTest
from cohost.client.vertex import VertexTransport
from scripts.demo_steps import CHANGED, PROJECT, Failed, fail

# Of so many calls a canary of 10 % gets a share outside of these bounds once in 50,000 times.
CALLS: Final = 1000
FEWEST, MOST = 60, 142
_SHOWN: Final = 2


@dataclass(frozen=True)
class Answer:
    """What a model answered to its smoke test, and after how many milliseconds."""

    test: SmokeTest
    outputs: Mapping[str, NDArray[Any]]
    ms: float

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Answer and truth of each row; of a model without a truth the first numbers."""
        first = next(iter(self.outputs.values())).reshape(-1)[:_SHOWN]
        return self.test.beside_truth(self.outputs) or [(f"{value:.3f}", "-") for value in first.tolist()]


def smoke_test(model: str) -> SmokeTest:
    """A model's smoke test."""
    return smoke.load(PROJECT / "model_artifacts" / model / smoke.FILE)


def call(predictor: Predictor, name: str) -> Answer:
    """Asks one model its smoke test.

    Raises:
        Failed: It answers something else than the test expects.
    """
    test = smoke_test(name)
    begin = time.perf_counter()
    outputs = predictor.infer(name, test.inputs())
    took = (time.perf_counter() - begin) * 1000
    difference = test.check(outputs)
    if difference:
        fail(f"{name}: {difference}")
    return Answer(test, outputs, took)


def call_and_show(predictor: Predictor, name: str) -> Answer:
    """Asks one model; prints a few rows of its answer beside the truth."""
    answer = call(predictor, name)
    pairs = answer.test.beside_truth(answer.outputs)
    shown = ", ".join(f"{said} ({truth})" for said, truth in pairs) or "the vectors asked for"
    print(f"  {name:14} {answer.ms:7.1f} ms  answer (truth): {shown}", flush=True)
    return answer


def old_and_new(predictor: Predictor, old: str) -> Answer:
    """Calls the changed model at the version before and at the active one.

    Returns:
        What the active one answers.

    Raises:
        Failed: Both give the same.
    """
    new = _wait_for_another(predictor, old)
    before = predictor.infer(CHANGED, smoke_test(CHANGED).inputs(), version=old)
    after = call(predictor, CHANGED)
    for name, version, outputs in (("old", old, before), ("new", new, after.outputs)):
        print(f"  {name} version {version[:12]}: {_first_flower(outputs)}", flush=True)
    if before["probabilities"].tolist() == after.outputs["probabilities"].tolist():
        fail("both versions answer the same")
    return after


def beside_each_other(sagemaker: Mapping[str, Answer], vertex: Mapping[str, Answer]) -> None:
    """Prints both clouds' answers and the truth.

    Raises:
        Failed: They differ.
    """
    rows: list[tuple[str, ...]] = [("MODEL", "SAGEMAKER", "MS", "VERTEX AI", "MS", "TRUTH")]
    for name, there in vertex.items():
        here = sagemaker[name]
        said, same, truth = _column(here, 0), _column(there, 0), _column(there, 1)
        rows.append((name, said, f"{here.ms:.1f}", same, f"{there.ms:.1f}", truth))
    print("\n".join(f"  {line}" for line in table(rows).splitlines()), flush=True)
    different = [name for name in sagemaker.keys() | vertex.keys() if not _equal(sagemaker.get(name), vertex.get(name))]
    if different:
        fail(f"the clouds answer differently: {', '.join(sorted(different))}")
    print(f"  all {len(vertex)} models answer the same on both clouds, to the last row", flush=True)


def canary_gets_its_share(endpoint: str) -> None:
    """Counts whom many calls of the changed model come to, and shows what each of them answers.

    Raises:
        Failed: The canary gets another share, or answers as the stable release does.
    """
    answered, said = _who_answers(endpoint)
    for (identity, count), what in zip(answered.most_common(), ("stable", "canary"), strict=False):
        print(
            f"  {count:4} of {CALLS} calls came to the {what} {identity}: {_first_flower(said[identity])}", flush=True
        )
    if len(answered) != 2 or not FEWEST <= min(answered.values()) <= MOST:
        fail(f"a canary of 10 % was to get {FEWEST} to {MOST} of {CALLS} calls: {dict(answered)}")
    if len({_first_flower(outputs) for outputs in said.values()}) != 2:
        fail("canary and stable release answer the same")


def all_come_to_one(endpoint: str) -> None:
    """Checks that one deployed model answers every call.

    Raises:
        Failed: There is another.
    """
    answered, said = _who_answers(endpoint, calls=100)
    for identity, count in answered.items():
        print(f"  {count:4} of 100 calls came to {identity}: {_first_flower(said[identity])}", flush=True)
    if len(answered) != 1:
        fail("another one still answers")


def _who_answers(endpoint: str, *, calls: int = CALLS) -> tuple[Counter[str], dict[str, Mapping[str, NDArray[Any]]]]:
    """Which deployed model answered how often, and what."""
    inputs = smoke_test(CHANGED).inputs()
    answered: Counter[str] = Counter()
    said: dict[str, Mapping[str, NDArray[Any]]] = {}
    transport = VertexTransport(endpoint)
    for _ in range(calls):
        reply = transport.infer_reply(CHANGED, inputs)
        answered[reply.deployed_model] += 1
        said[reply.deployed_model] = reply.outputs
    transport.close()
    return answered, said


def _wait_for_another(predictor: Predictor, old: str) -> str:
    """The version that callers get, once the predictor has seen the new release by itself.

    Raises:
        Failed: It never did.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        active = predictor.models()[CHANGED]
        if active != old:
            return active
        time.sleep(0.2)
    raise Failed("the client never saw the new release")


def _first_flower(outputs: Mapping[str, NDArray[Any]]) -> str:
    shares = "  ".join(f"{value:.3f}" for value in outputs["probabilities"][0])
    return f"probabilities of the first flower {shares}"


def _column(answer: Answer, side: int) -> str:
    return ", ".join(dict.fromkeys(pair[side] for pair in answer.rows[:_SHOWN]))


def _equal(one: Answer | None, other: Answer | None) -> bool:
    """Whether two answers are the same: floats but for what another order of adding up may change."""
    if one is None or other is None or one.outputs.keys() != other.outputs.keys():
        return False
    return all(_same_array(array, other.outputs[name]) for name, array in one.outputs.items())


def _same_array(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return np.allclose(one, other, rtol=1e-5, atol=1e-6) if one.dtype.kind == "f" else bool((one == other).all())


def every_model(predictor: Predictor) -> list[str]:
    """The names of the active release's models, in their order."""
    return sorted(predictor.models())
