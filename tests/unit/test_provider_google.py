"""How the plugin reaches Google Cloud: whose credentials, where, what is tried again, and what a refusal says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from cohost.errors import DeploymentError
from cohost.provider.context import Context, OperationCancelled
from cohost.provider.google import Google, GoogleError, GoogleSettings, words
from cohost.provider.google_errors import Failure
from cohost.provider.patience import patiently
from cohost.provider.vertex import operations
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.unit.google_key import service_account
from tests.unit.loopback import listening
from tests.unit.provider_context import Operation

REGION = "europe-west4"
ENDPOINT = f"projects/acme/locations/{REGION}/endpoints/1"
OPERATION = f"{ENDPOINT}/operations/5"


@dataclass
class Server:
    """Answers in order; the last answer again and again."""

    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, authorization: str) -> tuple[int, Any]:
        self.asked.append((method, path, authorization))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(made: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = made.answer(self.command, self.path, self.headers.get("Authorization", ""))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None: ...

    with listening(Handler) as made.url:
        yield made


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server()) as made:
        monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, f"{made.url}/")
        yield made


@pytest.fixture
def google() -> Google:
    """As anybody: who it is is another test's matter."""
    from google.auth.credentials import AnonymousCredentials

    made = Google()
    made._credentials = AnonymousCredentials()
    return made


@pytest.fixture
def context(google: Google) -> Context:
    return replace(Operation().context(), gcp=google)


def error(code: int, status: str, message: str, reason: str = "", **metadata: str) -> dict[str, Any]:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}
    return {"error": {"code": code, "status": status, "message": message, "details": [info] if reason else []}}


DISABLED = error(403, "PERMISSION_DENIED", "Not enabled.", "SERVICE_DISABLED", service="aiplatform.googleapis.com")


def test_the_library_is_loaded_by_an_operation_only() -> None:
    script = "import sys, cohost.provider.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"google.auth", "google.api_core", "google.cloud.aiplatform_v1", "requests"} & set(loaded)


def test_googles_messages_and_the_engines_live_in_one_process() -> None:
    script = "import cohost.provider.main, cohost.engine.provider, google.cloud.aiplatform_v1, google.cloud.storage"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_an_override_the_regions_own_host_is_called(monkeypatch: pytest.MonkeyPatch, google: Google) -> None:
    monkeypatch.delenv(VERTEX_ENDPOINT_OVERRIDE, raising=False)
    assert google.clients(REGION).base == f"https://{REGION}-aiplatform.googleapis.com"
    assert google.clients(REGION) is google.clients(REGION)


def test_credentials_are_those_of_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(service_account(f"{server.url}/token")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    server.answers = [(200, {"access_token": "abc", "expires_in": 3600, "token_type": "Bearer"}), (200, {"name": "x"})]
    assert Google().clients(REGION).get(ENDPOINT, view="full") == {"name": "x"}
    assert [path for _, path, _ in server.asked] == ["/token", f"/v1/{ENDPOINT}?view=full"]
    assert server.asked[-1][2] == "Bearer abc"


def test_an_impersonated_account_acts_by_the_credentials_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(service_account("http://127.0.0.1:1/token")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    found = Google(GoogleSettings(impersonate="deployer@acme.iam.gserviceaccount.com")).credentials()
    assert found.service_account_email == "deployer@acme.iam.gserviceaccount.com"


def test_without_credentials_the_way_to_sign_in_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(GoogleError, match=r"none\.json.*gcloud auth application-default login"):
        Google().credentials()


def test_a_read_is_tried_again_and_a_change_is_not(server: Server, google: Google) -> None:
    busy = (503, error(503, "UNAVAILABLE", "Busy."))
    server.answers = [busy, busy, (200, {"name": "x"})]
    assert google.clients(REGION).get(ENDPOINT) == {"name": "x"}
    server.asked.clear()
    server.answers = [busy]
    with pytest.raises(GoogleError, match="UNAVAILABLE: Busy"):
        google.clients(REGION).post(f"{ENDPOINT}:deployModel", {"x": 1})
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"<html>Not found</html>", b"", [{"error": {"message": "gone"}}], {"error": "gone"}])
def test_an_answer_that_is_no_error_of_googles_is_told_too(server: Server, google: Google, body: Any) -> None:
    server.answers = [(404, body)]
    with pytest.raises(GoogleError) as caught:
        google.clients(REGION).get(ENDPOINT)
    assert caught.value.status == "NOT_FOUND"


def test_the_gapic_clients_reach_the_same_place(server: Server, google: Google) -> None:
    server.answers = [(200, {"name": ENDPOINT, "displayName": "shared"})]
    assert google.clients(REGION).endpoints.get_endpoint(name=ENDPOINT).display_name == "shared"
    server.answers = [(404, error(404, "NOT_FOUND", "No model."))]
    with pytest.raises(GoogleError, match=r"^looking at m: NOT_FOUND: No model$"), words("looking at m"):
        google.clients(REGION).models.get_model(name=f"projects/acme/locations/{REGION}/models/m")
    assert [path.partition("?")[0] for _, path, _ in server.asked][
        -1
    ] == f"/v1/projects/acme/locations/{REGION}/models/m"


def test_where_nobody_listens_is_told(monkeypatch: pytest.MonkeyPatch, google: Google) -> None:
    monkeypatch.setenv(VERTEX_ENDPOINT_OVERRIDE, "http://127.0.0.1:1")
    with pytest.raises(GoogleError, match="Google cannot be reached") as caught:
        google.clients(REGION).post(f"{ENDPOINT}:deployModel")
    assert caught.value.status == ""


QUOTA = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_serving_nvidia_l4_gpus"
DENIED = "Permission 'aiplatform.endpoints.deploy' denied on resource '//aiplatform.googleapis.com/projects/acme'"
AGENT = "service-1@gcp-sa-aiplatform.iam.gserviceaccount.com does not have storage.objects.get access"


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (DISABLED, "gcloud services enable aiplatform.googleapis.com"),
        (error(401, "UNAUTHENTICATED", "Expired."), "gcloud auth application-default login"),
        (error(429, "RESOURCE_EXHAUSTED", QUOTA), 'the quota "custom_model_serving_nvidia_l4_gpus" at https'),
        (
            error(429, "RESOURCE_EXHAUSTED", "Out.", "QUOTA_EXCEEDED", quota_metric="aiplatform.googleapis.com/gpus"),
            'the quota "aiplatform.googleapis.com/gpus" at https',
        ),
        (
            error(403, "PERMISSION_DENIED", "No.", "IAM_PERMISSION_DENIED", permission="aiplatform.models.upload"),
            "a role with the permission aiplatform.models.upload",
        ),
        (error(403, "PERMISSION_DENIED", DENIED), "a role with the permission aiplatform.endpoints.deploy"),
        (error(403, "PERMISSION_DENIED", AGENT), "grant Vertex AI's service agent what it lacks"),
        (error(400, "FAILED_PRECONDITION", "Cannot pull us-docker.pkg.dev/a/b."), "of the model's region"),
    ],
)
def test_a_refusal_says_what_to_do(server: Server, google: Google, given: dict[str, Any], remedy: str) -> None:
    server.answers = [(given["error"]["code"] if given["error"]["code"] != 429 else 400, given)]
    with pytest.raises(GoogleError) as caught, words("uploading the model iris"):
        google.clients(REGION).post("models:upload")
    assert str(caught.value).startswith(f"uploading the model iris: {given['error']['status']}: ")
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_tried_again_in_vain_tells_why() -> None:
    from google.api_core.exceptions import RetryError, ServiceUnavailable

    with pytest.raises(GoogleError, match=r"^looking: UNAVAILABLE: Busy$"), words("looking"):
        raise RetryError("Timeout of 20 s exceeded", ServiceUnavailable("Busy."))


def test_our_own_errors_and_defects_pass_unchanged() -> None:
    with pytest.raises(DeploymentError, match=r"^as it is$"), words("doing"):
        raise DeploymentError("as it is")
    with pytest.raises(ZeroDivisionError), words("doing"):
        _ = 1 / 0


@pytest.mark.parametrize("too_soon", [DISABLED, error(403, "PERMISSION_DENIED", AGENT)])
def test_what_is_not_in_effect_yet_is_waited_for(
    server: Server, context: Context, google: Google, too_soon: dict[str, Any]
) -> None:
    server.answers = [(403, too_soon), (200, {"name": "x"})]
    assert patiently(context, "uploading", lambda: google.clients(REGION).post("models:upload")) == {"name": "x"}


def test_a_permission_that_the_caller_lacks_is_told_at_once(server: Server, context: Context, google: Google) -> None:
    server.answers = [(403, error(403, "PERMISSION_DENIED", "Permission 'x' denied."))]
    with pytest.raises(GoogleError, match="grant the account that deploys a role"):
        patiently(context, "uploading", lambda: google.clients(REGION).post("models:upload"))
    assert len(server.asked) == 1


def running(stage: str) -> dict[str, Any]:
    return {"name": OPERATION, "metadata": {"deploymentStage": stage}}


def test_an_operation_is_polled_at_v1_until_it_is_done(server: Server, context: Context, google: Google) -> None:
    done = {**running("FINISHING_UP"), "done": True, "response": {"x": 1}}
    server.answers = [(200, running("STARTING_DEPLOYMENT")), (200, running("ADDING_NODES_TO_CLUSTER")), (200, done)]
    seen: list[str] = []
    found = operations.wait(context, google, REGION, OPERATION, lambda it: seen.append(it["deploymentStage"]))
    assert found == {"x": 1}
    assert seen == ["STARTING_DEPLOYMENT", "ADDING_NODES_TO_CLUSTER", "FINISHING_UP"]
    assert {path for _, path, _ in server.asked} == {f"/v1/{OPERATION}"}


def test_a_failed_operation_says_googles_words_and_a_lost_one_is_told(
    server: Server, context: Context, google: Google
) -> None:
    server.answers = [(200, {"name": OPERATION, "done": True, "error": {"code": 9, "message": "Never became ready."}})]
    with pytest.raises(GoogleError, match=r"^deploying: FAILED_PRECONDITION: Never became ready$"):
        operations.wait(context, google, REGION, OPERATION, doing="deploying")
    server.answers = [(404, error(404, "NOT_FOUND", "Gone."))]
    with pytest.raises(GoogleError, match=f"Gone; Google does not know {OPERATION} any more: `up` again") as caught:
        operations.wait(context, google, REGION, OPERATION)
    assert caught.value.status == "NOT_FOUND"


def test_a_wait_ends_with_the_operation_of_the_plugin(server: Server, google: Google) -> None:
    server.answers = [(200, running("ADDING_NODES_TO_CLUSTER"))]
    asked = Operation()

    def cancel(_: Any) -> None:
        asked.cancelled = True

    with pytest.raises(OperationCancelled, match="cancelled while deploying"):
        operations.wait(asked.context(), google, REGION, OPERATION, cancel, doing="deploying")


@pytest.mark.parametrize(
    ("predicate", "found"), [(lambda _: True, OPERATION), (lambda operation: "9" in operation["name"], None)]
)
def test_a_running_operation_is_found_on_any_page(
    server: Server, google: Google, predicate: Callable[[Any], bool], found: str | None
) -> None:
    kind = {"@type": "type.googleapis.com/google.cloud.aiplatform.v1.DeployModelOperationMetadata"}
    other = {"@type": "type.googleapis.com/google.cloud.aiplatform.v1.UndeployModelOperationMetadata"}
    first = [{"name": "9", "done": True, "metadata": kind}, {"name": "8", "metadata": other}]
    server.answers = [
        (200, {"operations": first, "nextPageToken": "more"}),
        (200, {"operations": [{"name": OPERATION, "metadata": kind}]}),
    ]
    kind_of = "DeployModelOperationMetadata"
    assert operations.find(google, REGION, ENDPOINT, kind=kind_of, predicate=predicate) == found
    assert "pageToken=more" in server.asked[-1][1]


def test_nothing_runs_on_what_is_not_there(server: Server, google: Google) -> None:
    server.answers = [(404, error(404, "NOT_FOUND", "Gone."))]
    assert operations.find(google, REGION, ENDPOINT, kind="X") is None


def test_a_code_that_is_not_known_is_told_as_unknown() -> None:
    assert Failure.of_status({"code": 99, "message": "?"}).status == "UNKNOWN"
