"""Smoke tests on a live endpoint: each model is asked by explicit target, before any caller gets it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cohost.errors import CohostError, DeploymentError
from cohost.provider.context import Context, OperationCancelled
from cohost.release import smoke_key, target

if TYPE_CHECKING:
    from cohost.client.smoke import SmokeTest
    from cohost.client.transport import Transport
    from cohost.store import ObjectStore

_THREADS: Final = 8
# SageMaker goes on loading a model for 360 s ("How multi-model endpoints work"); the rest is for models before it.
_ANSWER_SECONDS: Final = 600.0
_NAMED: Final = 10


def smoke_tests(catalog: Path, models: Mapping[str, str], store: ObjectStore) -> dict[str, SmokeTest]:
    """The smoke test of each model, from its folder or, where the catalog names an artifact, from the store.

    Args:
        catalog: The file catalog.yaml.
        models: Digest by name, of the models asked for.
        store: Where `cohost push` has put the smoke tests of its artifacts.

    Raises:
        InputError: The catalog or a smoke test is malformed.
        StoreError: One is not in the store.
    """
    from cohost.catalog import load
    from cohost.client import smoke

    listed = {model.name: model for model in load(catalog).models} if models else {}
    tests: dict[str, SmokeTest] = {}
    for name, digest in models.items():
        folder = listed[name].path if name in listed else None
        if folder is not None:
            tests[name] = smoke.load(folder / smoke.FILE)
        else:
            key = smoke_key(name, digest)
            tests[name] = smoke.parse(store.get(key)[0], f"{store.url}/{key}")
    return tests


def verify(context: Context, transport: Transport, models: Mapping[str, str], tests: Mapping[str, SmokeTest]) -> None:
    """Asks every model its smoke test, several at a time.

    Args:
        context: The operation, on whose line the progress shows.
        transport: The endpoint.
        models: Digest by name.
        tests: Smoke test by name.

    Raises:
        DeploymentError: A model failed; with every one that did and the server's own words.
        OperationCancelled: The operation must end first.
    """
    failures: dict[str, str] = {}

    def ask(name: str) -> str | None:
        context.ensure_running("asking the models their smoke tests")
        timeout = min(_ANSWER_SECONDS, max(context.remaining(), 1.0))
        try:
            answer = transport.infer(target(name, models[name]), tests[name].inputs(), timeout=timeout)
        except OperationCancelled:
            raise
        except CohostError as error:
            return str(error)
        return tests[name].check(answer)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        asked = {pool.submit(ask, name): name for name in sorted(models)}
        try:
            for count, future in enumerate(as_completed(asked), 1):
                failure = future.result()
                if failure is not None:
                    failures[asked[future]] = failure
                context.status(f"verified {count}/{len(asked)} models", last=count == len(asked))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        raise DeploymentError(_summary(failures, len(models)))


def _summary(failures: Mapping[str, str], asked: int) -> str:
    lines = [f"model {name}: {words}" for name, words in sorted(failures.items())[:_NAMED]]
    if len(failures) > _NAMED:
        lines.append(f"and {len(failures) - _NAMED} more")
    head = f"{len(failures)} of {asked} models failed their smoke test on the live endpoint; the release before stays"
    return "\n".join([head, *lines])
