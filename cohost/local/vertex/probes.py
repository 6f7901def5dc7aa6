"""Probes of a container, as far as they are carried out here: a GET of the port that predictions go to.

Meaning and defaults: google.cloud.aiplatform.v1.Probe, and custom container requirements, "Health checks". Unlike
Vertex AI this asks all the time, so that nobody waits for a period, and does not start a container again whose startup
probe has failed: the deployment fails at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cohost.local.vertex.errors import unsupported
from cohost.local.vertex.protos import Record

_STARTUP, _HEALTH = "startupProbe", "healthProbe"
_PERIOD, _FAILURES, _DELAY = 10, 3, 0
_DEFAULT_PORT: Final = 8080
_SCHEME: Final = "HTTP"


@dataclass(frozen=True)
class Startup:
    """What must be answered before anything else is asked.

    Attributes:
        path: Path of the GET.
        seconds: For how long it may fail.
    """

    path: str
    seconds: float


def check(spec: Record) -> None:
    """Checks the probes of a container.

    Raises:
        VertexError: One is not carried out here.
    """
    ports = spec.get("ports") or [{"containerPort": _DEFAULT_PORT}]
    for name in (_STARTUP, _HEALTH):
        if name not in spec:
            continue
        get = spec[name].get("httpGet", {})
        plain = get.keys() <= {"path", "port", "scheme"} and get.get("scheme", _SCHEME) == _SCHEME
        if not get.get("path") or get.get("port") != ports[0]["containerPort"] or not plain:
            raise unsupported(f"A container_spec.{name} other than an httpGet of a path on the first port")


def startup(spec: Record) -> Startup | None:
    """The startup probe of a container, if it has one."""
    if _STARTUP not in spec:
        return None
    probe = spec[_STARTUP]
    tries = probe.get("periodSeconds", _PERIOD) * probe.get("failureThreshold", _FAILURES)
    return Startup(probe["httpGet"]["path"], float(probe.get("initialDelaySeconds", _DELAY) + tries))


def health_path(spec: Record, route: str) -> str:
    """The path that tells whether a container is ready: its health probe's, or its health route."""
    return spec[_HEALTH]["httpGet"]["path"] if _HEALTH in spec else route
