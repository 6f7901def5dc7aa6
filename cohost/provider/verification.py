"""Smoke tests on a live endpoint: each model is asked by explicit target, before any caller gets it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from cohost.errors import CohostError, DeploymentError
from cohost.provider.context import Context
from cohost.release import target

if TYPE_CHECKING:
    from cohost.client.smoke import SmokeTest
    from cohost.client.transport import Transport

_THREADS: Final = 8
# SageMaker goes on loading a model for 360 s ("How multi-model endpoints work"); the rest is for models before it.
_ANSWER_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 0.2
_NAMED: Final = 10
_DOING: Final = "asking the models their smoke tests"


def verify(context: Context, transport: Transport, models: Mapping[str, str], tests: Mapping[str, SmokeTest]) -> None:
    """Asks every model its smoke test, several at a time.

    Args:
        context: The operation, on whose line the progress shows.
        transport: The endpoint.
        models: Digest by name.
        tests: Smoke test by name.

    Raises:
        DeploymentError: A model failed; with every one that did and the server's own words.
        OperationCancelled: The operation must end first. What has been asked already is not waited for.
    """

    def ask(name: str) -> str | None:
        timeout = min(_ANSWER_SECONDS, max(context.remaining(), 1.0))
        try:
            answer = transport.infer(target(name, models[name]), tests[name].inputs(), timeout=timeout)
        except CohostError as error:
            return str(error)
        return tests[name].check(answer)

    verify_each(context, models, ask)


def verify_each(context: Context, models: Collection[str], ask: Callable[[str], str | None]) -> None:
    """Asks every model, several at a time.

    Args:
        context: The operation, on whose line the progress shows.
        models: Their names.
        ask: Asks the model of a name; what is wrong with its answer, or None.

    Raises:
        DeploymentError: A model failed; with every one that did and its words.
        OperationCancelled: The operation must end first. What has been asked already is not waited for.
    """

    def ask_in_time(name: str) -> str | None:
        return "was not asked" if context.stopped() else ask(name)

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
    try:
        failures = _gather(context, {pool.submit(ask_in_time, name): name for name in sorted(models)})
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise DeploymentError(_summary(failures, len(models)))


def _gather(context: Context, asked: Mapping[Future[str | None], str]) -> dict[str, str]:
    """What each failed model said, by name."""
    failures: dict[str, str] = {}
    left = set(asked)
    while left:
        context.ensure_running(_DOING)
        done, left = wait(left, timeout=_LOOK_SECONDS)
        failures |= {asked[future]: words for future in done if (words := future.result()) is not None}
        context.status(f"verified {len(asked) - len(left)}/{len(asked)} models", last=not left)
    if failures:
        context.ensure_running(_DOING)  # an answer that did not come in time is no fault of the model
    return failures


def _summary(failures: Mapping[str, str], asked: int) -> str:
    lines = [f"model {name}: {words}" for name, words in sorted(failures.items())[:_NAMED]]
    if len(failures) > _NAMED:
        lines.append(f"and {len(failures) - _NAMED} more")
    head = f"{len(failures)} of {asked} models failed their smoke test on the live endpoint; nothing is activated"
    return "\n".join([head, *lines])
