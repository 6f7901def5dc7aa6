from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from cohost.client import BadInput, PredictionError, Predictor, UnknownModel
from cohost.errors import InputError
from cohost.release import ActiveRelease, ModelTarget, Release
from tests.unit.runtime_server import (
    Answer,
    Request,
    Server,
    doubled,
    running,
    sagemaker_error,
    use_environment,
)

X = {"x": np.ones((1, 2), np.float32)}
CURRENT = "/models-bucket/dev/releases/current.json"
OLD, NEW = "a" * 64, "b" * 64
ENDLESS = 3600.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running() as server:
        use_environment(monkeypatch, server.url)
        yield server


def outputs(**changes: object) -> dict[str, object]:
    known = {
        "platform": "aws",
        "region": "eu-central-1",
        "endpoint": "shared",
        "store": "s3://models-bucket/dev",
    }
    return {**known, "release": OLD, **changes}


def activate(server: Server, models: Mapping[str, str]) -> None:
    targets = {name: ModelTarget(digest, f"{name}/{digest}.tar.gz") for name, digest in models.items()}
    server.objects[CURRENT] = ActiveRelease("c" * 64, "aws", "shared", targets).to_json()


def reads(server: Server) -> int:
    return len(server.requests) - len(server.invocations)


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return holds()


def test_a_model_is_called_at_its_active_artifact_with_one_read_of_the_release(server: Server) -> None:
    activate(server, {"digits": OLD, "iris": NEW})
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        for model in ("digits", "iris", "digits"):
            predictor.infer(model, X)
        assert predictor.models() == {"digits": OLD, "iris": NEW}
    targets = [request.target for request in server.invocations]
    assert targets == [f"digits/{OLD}.tar.gz", f"iris/{NEW}.tar.gz", f"digits/{OLD}.tar.gz"]
    assert reads(server) == 1


def test_a_version_is_called_whatever_is_active(server: Server) -> None:
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        predictor.infer("digits", X, version=NEW)
    assert [request.target for request in server.requests] == [f"digits/{NEW}.tar.gz"]


def test_an_unknown_model_is_looked_for_once_more_and_then_named_with_what_comes_close(
    server: Server,
) -> None:
    activate(server, {"digits": OLD, "iris": NEW})
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        predictor.infer("digits", X)
        with pytest.raises(UnknownModel, match=r"'digit'.*did you mean 'digits'"):
            predictor.infer("digit", X)
        with pytest.raises(UnknownModel, match="it has digits, iris"):
            predictor.infer("zzz", X)
    assert reads(server) == 3
    assert len(server.invocations) == 1


def describe(server: Server, models: Mapping[str, str], inputs: Mapping[str, str] | None) -> None:
    """Stores the document of the release that `activate` names."""
    server.objects[f"/models-bucket/dev/releases/{'c' * 64}.json"] = Release(models).to_json(inputs)


REFUSED = sagemaker_error(
    424, "ModelError", OriginalStatusCode=400, OriginalMessage='{"error":"unexpected inference input \'y\' for model"}'
)


def test_bad_input_names_what_the_model_expects_with_one_more_read_a_release(server: Server) -> None:
    models = {"digits": OLD, "iris": NEW}
    activate(server, models)
    describe(server, models, {"digits": "pixels FP32 [-1, 64]", "iris": "measurements FP32 [-1, 4]"})
    server.answer = lambda _: REFUSED
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        for _ in range(3):
            with pytest.raises(BadInput, match=r"unexpected inference input 'y'.*; expected: pixels FP32 \[-1, 64\]$"):
                predictor.infer("digits", X)
        with pytest.raises(BadInput, match=r"must be a numpy array; expected: measurements FP32 \[-1, 4\]$"):
            predictor.infer("iris", {"measurements": [1, 2]})  # type: ignore[dict-item]
        with pytest.raises(BadInput, match="expected: pixels"):
            predictor.infer("digits", X, version=OLD)
        with pytest.raises(BadInput) as other:
            predictor.infer("digits", X, version=NEW)
    assert "; expected:" not in str(other.value), "another version may take something else"
    assert reads(server) == 2


@pytest.mark.parametrize(
    "document", [None, Release({"digits": OLD}).to_json(), b"{", b"[]", b'{"models":3,"inputs":4}']
)
def test_bad_input_is_told_as_it_is_where_nobody_knows_what_the_model_expects(
    server: Server, document: bytes | None
) -> None:
    activate(server, {"digits": OLD})
    if document is not None:
        server.objects[f"/models-bucket/dev/releases/{'c' * 64}.json"] = document
    server.answer = lambda _: REFUSED
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        for _ in range(3):
            with pytest.raises(BadInput, match=r"unexpected inference input 'y' for model$"):
                predictor.infer("digits", X)
    assert reads(server) == 2


def test_a_model_that_was_activated_a_moment_ago_is_found(server: Server) -> None:
    activate(server, {"iris": NEW})
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        predictor.infer("iris", X)
        activate(server, {"iris": NEW, "digits": OLD})
        predictor.infer("digits", X)
    assert server.requests[-1].target == f"digits/{OLD}.tar.gz"


def test_an_artifact_that_is_gone_makes_the_client_look_for_a_newer_release(server: Server) -> None:
    activate(server, {"digits": OLD})
    gone = sagemaker_error(400, "ValidationError", "Failed to download model data(bucket: b, key: k)")
    server.answer = lambda request: gone if OLD in request.target else doubled(request)
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        with pytest.raises(UnknownModel, match="Failed to download"):
            predictor.infer("digits", X)
        activate(server, {"digits": NEW})
        predictor.infer("digits", X)


def test_a_new_release_is_found_in_the_background(server: Server) -> None:
    activate(server, {"digits": OLD})
    with Predictor.from_outputs(outputs(), interval=0.05) as predictor:
        predictor.infer("digits", X)
        activate(server, {"digits": NEW})

        def new_answers() -> bool:
            predictor.infer("digits", X)
            return NEW in server.invocations[-1].target

        assert eventually(new_answers)


def test_calls_go_on_while_the_store_hangs_or_fails(server: Server) -> None:
    activate(server, {"digits": OLD})
    asked, release = threading.Event(), threading.Event()
    healthy = server.s3

    def hang(request: Request) -> Answer:
        asked.set()
        release.wait(30)
        return Answer(500)

    with Predictor.from_outputs(outputs(), interval=0.02) as predictor:
        predictor.infer("digits", X)
        server.s3 = hang
        predictor.infer("digits", X)
        assert asked.wait(30)
        for _ in range(20):
            predictor.infer("digits", X)
        release.set()
        server.s3 = healthy
        activate(server, {"digits": NEW})
        assert eventually(lambda: predictor.models() == {"digits": NEW})


def test_an_unchanged_release_is_not_read_again(server: Server) -> None:
    activate(server, {"digits": OLD})
    with Predictor.from_outputs(outputs(), interval=0.02) as predictor:
        predictor.infer("digits", X)
        predictor.infer("digits", X)
        assert eventually(lambda: sum(request.method == "HEAD" for request in server.requests) >= 3)
    assert sum(request.method == "GET" for request in server.requests) == 1


def test_a_release_that_was_never_activated_is_named_and_then_found(server: Server) -> None:
    with Predictor.from_outputs(outputs(), interval=ENDLESS) as predictor:
        with pytest.raises(PredictionError, match=r"s3://models-bucket/dev/releases/current\.json"):
            predictor.infer("digits", X)
        activate(server, {"digits": OLD})
        predictor.infer("digits", X)


def test_a_closed_or_forgotten_predictor_leaves_no_thread(server: Server) -> None:
    def watchers() -> int:
        return sum(thread.name == "cohost-release" for thread in threading.enumerate())

    activate(server, {"digits": OLD})
    before = watchers()
    predictor = Predictor.from_outputs(outputs(), interval=0.02)
    predictor.infer("digits", X)
    predictor.infer("digits", X)
    assert watchers() == before + 1
    del predictor
    gc.collect()
    assert eventually(lambda: watchers() == before)


def test_missing_outputs_are_named_all_at_once_and_an_unknown_platform_is_refused() -> None:
    with pytest.raises(InputError) as missing:
        Predictor.from_outputs({"platform": "aws", "region": "eu-central-1"})
    assert [problem.key for problem in missing.value.problems] == ["endpoint", "store"]
    with pytest.raises(InputError, match="'azure'"):
        Predictor.from_outputs(outputs(platform="azure"))


def test_importing_the_client_imports_neither_pulumi_nor_an_sdk() -> None:
    script = "import sys, cohost.client; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not {"pulumi", "boto3", "botocore", "grpc", "tritonclient"} & set(loaded.split())
