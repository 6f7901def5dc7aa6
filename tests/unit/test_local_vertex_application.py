from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest

from cohost.local.http import Request
from tests.unit.local_vertex import BEARER, PARENT, Control, uploading


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def test_the_beta_and_the_operations_of_the_console_are_the_same_api(control: Control) -> None:
    name = control.endpoint()
    assert control.send("GET", f"/v1beta1/{name}")[0] == 200
    operation = next(iter(control.state.operations))
    assert control.send("GET", f"/ui/{operation}")[1]["done"] is True


def test_an_operation_that_has_just_begun_is_not_done_even_when_it_is(control: Control) -> None:
    begun = control.ok("POST", f"{PARENT}/endpoints", {"displayName": "x"})
    assert "done" not in begun
    assert control.ok("GET", begun["name"])["response"]["@type"].endswith(".v1.Endpoint")


def test_operations_are_listed_by_what_they_are_about(control: Control) -> None:
    control.endpoint("1")
    model = control.ok("POST", f"{PARENT}/models:upload", uploading(modelId="iris"))
    about = model["name"].rpartition("/operations/")[0]
    assert [each["name"] for each in control.ok("GET", f"{about}/operations")["operations"]] == [model["name"]]
    running = control.ok("GET", f"{PARENT}/operations", filter="done=false")["operations"]
    assert [each["name"] for each in running] == [model["name"]]
    assert len(control.ok("GET", f"{PARENT}/operations")["operations"]) == 2
    assert control.refused("GET", f"{PARENT}/operations/1")[0] == "NOT_FOUND"


def test_waiting_for_an_operation_ends_with_it_or_with_the_time(control: Control) -> None:
    operation = control.ok("POST", f"{PARENT}/models:upload", uploading(modelId="iris"))
    assert "done" not in control.ok("POST", f"{operation['name']}:wait", {"timeout": "0.1s"})
    assert control.refused("POST", f"{operation['name']}:wait", {"timeout": "long"})[0] == "INVALID_ARGUMENT"


def test_without_a_token_nothing_is_answered(control: Control) -> None:
    status, content = control.send("GET", f"/v1/{PARENT}/models", headers={})
    assert (status, content["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_any_assertion_is_worth_a_token_and_nothing_else_is(control: Control) -> None:
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "any"}
    status, content = control.send("POST", "/token", urlencode(grant).encode(), headers={})
    assert (status, content["token_type"]) == (200, "Bearer")
    assert control.send("POST", "/token", b"grant_type=password", headers={})[0] == 400


def test_what_a_test_wants_refused_is_refused_in_its_words(control: Control) -> None:
    refusal = {"status": "PERMISSION_DENIED", "message": "Permission denied."}
    for method in ("models:upload", "upload"):
        control.limit(refuse={method: refusal})
        assert control.refused("POST", f"{PARENT}/models:upload", uploading()) == tuple(refusal.values())
    control.limit(refuse={"GET endpoints": refusal})
    assert control.refused("GET", f"{PARENT}/endpoints") == tuple(refusal.values())
    control.ok("GET", f"{PARENT}/models")


def test_an_operation_can_be_lost_while_its_endpoint_is_there(control: Control) -> None:
    endpoint = control.endpoint()
    control.limit(refuse={"GET operations": {"status": "NOT_FOUND", "message": "gone"}})
    assert control.refused("GET", next(iter(control.state.operations))) == ("NOT_FOUND", "gone")
    control.ok("GET", endpoint)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/v1/{PARENT}/endpoints/1:explain"),
        ("GET", f"/v1/{PARENT}/datasets"),
        ("GET", "/v1/projects/p"),
        ("PUT", f"/v1/{PARENT}/models/m"),
    ],
)
def test_whatever_else_vertex_ai_does_is_not_supported_here(control: Control, method: str, path: str) -> None:
    status, content = control.send(method, path)
    assert (status, content["error"]["status"]) == (501, "UNIMPLEMENTED")
    assert "not supported here" in content["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
def test_a_body_that_is_no_object_is_refused_as_google_does_it(control: Control, body: bytes) -> None:
    status, message = control.refused("POST", f"{PARENT}/models:upload", body)
    assert status == "INVALID_ARGUMENT"
    assert message.startswith("Invalid JSON payload received.")


def test_a_body_that_was_too_large_to_keep_is_refused(control: Control) -> None:
    for verb in ("deployModel", "rawPredict", "predict"):
        name = f"/v1/{control.endpoint(str(len(verb)))}:{verb}"
        assert control.application(Request("POST", name, {}, BEARER, None)).status == 400


def test_the_emulator_tells_about_itself_without_a_token(control: Control) -> None:
    assert control.send("GET", "/-/health", headers={}) == (200, {"ok": True})
    assert control.send("GET", "/-/deployments", headers={}) == (200, [])
    assert control.send("GET", "/-/models", headers={}, query={"endpoint": "1"}) == (200, [])
    assert control.send("GET", "/-/nothing", headers={})[0] == 404
