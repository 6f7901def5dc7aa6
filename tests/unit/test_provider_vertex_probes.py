"""Probes of a container: what is refused, and that Google's messages say the same as the inputs."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import ModelContainerSpec

from cohost.provider.values import UNKNOWN
from cohost.provider.vertex import container, probes

HTTP: dict[str, Any] = {
    "httpGet": {"path": "/health", "port": 8080.0, "httpHeaders": [{"name": "A", "value": ""}]},
    "periodSeconds": 10.0,
    "failureThreshold": 360.0,
}


@pytest.mark.parametrize(
    "probe",
    [
        HTTP,
        {"exec": {"command": ["curl", "-f", "http://localhost:8080/health"]}, "initialDelaySeconds": 0.0},
        {"grpc": {"port": 8001.0, "service": ""}, "timeoutSeconds": 2.0},
        {"tcpSocket": {"port": 8080.0, "host": "10.0.0.1"}, "successThreshold": 1.0},
        {"httpGet": {"path": UNKNOWN, "port": UNKNOWN}, "periodSeconds": UNKNOWN},
    ],
)
def test_a_probe_of_every_action_is_taken(probe: dict[str, Any]) -> None:
    assert list(probes.probe("startupProbe", probe)) == []


def test_everything_wrong_with_a_probe_is_told_at_once_by_its_path() -> None:
    bad = {
        "httpGet": {"path": "health", "port": 0.0, "scheme": "http", "verb": "HEAD", "httpHeaders": [{"value": 1.0}]},
        "exec": {"command": []},
        "tcpSocket": {},
        "grpc": 8080.0,
        "periodSeconds": 0.0,
        "initialDelaySeconds": -1.0,
        "every": "10s",
    }
    get = 'p["httpGet"]'
    assert {problem.key for problem in probes.probe("p", bad)} == {
        *(f'{get}["path"]', f'{get}["port"]', f'{get}["scheme"]', f'{get}["verb"]'),
        *(f'{get}["httpHeaders"][0]["name"]', f'{get}["httpHeaders"][0]["value"]'),
        *('p["exec"]["command"]', 'p["tcpSocket"]["port"]', 'p["grpc"]'),
        *('p["periodSeconds"]', 'p["initialDelaySeconds"]', 'p["every"]', "p"),
    }


@pytest.mark.parametrize("value", ["/health", {}, {"periodSeconds": 5.0}])
def test_a_probe_that_does_nothing_is_refused(value: Any) -> None:
    assert [problem.key for problem in probes.probe("p", value)][-1] == "p"


def test_what_google_tells_is_what_it_was_told() -> None:
    given = {"startupProbe": HTTP, "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 5.0}}
    made = ModelContainerSpec(container.spec({"image": "i", **given}))
    assert made.startup_probe.http_get.port == 8080
    assert made.startup_probe.failure_threshold == 360
    assert list(made.liveness_probe.exec_.command) == ["true"]
    assert probes.told(made) == {
        "startupProbe": {**HTTP, "httpGet": {**HTTP["httpGet"], "httpHeaders": [{"name": "A"}]}},
        "livenessProbe": given["livenessProbe"],
    }


def test_what_google_takes_by_itself_makes_no_other_content() -> None:
    bare = {"httpGet": {"path": "/health", "port": 8080}}
    filled = {
        "httpGet": {"path": "/health", "port": 8080.0, "scheme": "HTTP"},
        "periodSeconds": 10.0,
        "timeoutSeconds": 1,
        "failureThreshold": 3,
        "successThreshold": 1,
        "initialDelaySeconds": 0,
    }
    one, same, other = ({"image": "i", "startupProbe": each} for each in (bare, filled, {**bare, "periodSeconds": 5}))
    assert container.fingerprint(one) == container.fingerprint(same)
    assert len({container.fingerprint(each) for each in (one, other, {"image": "i"}, {**one, "startupProbe": {}})}) == 3
