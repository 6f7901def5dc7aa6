"""Whether Google has what the endpoint runs on: quota and image."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from cohost import vertex_fleet
from cohost.doctor.check import Finding, Step, failed, ok, skipped, warning
from cohost.doctor.subject import Subject
from cohost.gcp_settings import GcpSettings
from cohost.provider import google_api
from cohost.provider.google import Google, GoogleError
from cohost.provider.vertex import quota

_REGISTRY: Final = "-docker.pkg.dev"


def steps(subject: Subject, google: Google, needs: tuple[str, ...]) -> tuple[Step, ...]:
    """Returns the checks of quota and image, which need sound settings beside `needs`."""

    def wanted() -> GcpSettings:
        found = subject.settings()
        assert isinstance(found, GcpSettings)
        return found

    return (
        Step("quota", lambda: gpus(google, wanted()), needs=needs),
        Step("image", lambda: image(google, wanted().image), needs=needs),
    )


def gpus(google: Google, wanted: GcpSettings) -> Finding:
    """Compares the quota with the fleet, and with two of it where a new release comes up beside the old one."""
    machine, region = wanted.machine, wanted.region
    known = vertex_fleet.accelerator(machine.accelerator)
    if machine.spot or known is None:
        return skipped("Spot machines and unlisted GPUs are charged to quotas whose names nobody tells")
    limit = quota.read(google, wanted.project, region, known.quota)
    if limit is None:
        return ok(f'the quota "{known.quota}" has no limit in {region}')
    first = machine.min_replicas * machine.accelerator_count
    surge = 2 * first if wanted.update == "surge" else first
    most = max(surge, machine.max_replicas * machine.accelerator_count)
    found = f'"{known.quota}" of {wanted.project} in {region} is {limit}'
    more = f"ask for {most} at https://console.cloud.google.com/iam-admin/quotas?project={wanted.project}"
    if limit < first:
        return failed(f"{found}, and the first `up` needs {first}", f"{more}, or choose another region or machine")
    if limit < most:
        instead = ", or set `update: replace`" if limit < surge else ""
        remedy = f"{more}{instead}"
        return warning(f"{found}: enough for the first `up`, but an update or scaling may need {most}", remedy)
    return ok(f"{found}, and {most} at the most are needed; what else uses it is not counted")


def image(google: Google, address: str) -> Finding:
    """Asks Artifact Registry for the image by its digest.

    Source: Artifact Registry, REST reference of `repositories.dockerImages.get`.
    """
    host, project, repository, *rest = address.split("/")
    name, _, digest = "/".join(rest).partition("@")
    name = quote(f"{name.partition(':')[0]}@{digest}", safe="@:")
    region = host.removesuffix(_REGISTRY)
    path = f"v1/projects/{project}/locations/{region}/repositories/{repository}/dockerImages/{name}"
    try:
        google_api.call(google.credentials(), "artifactregistry", path, doing=f"asking for the image {address}")
    except GoogleError as error:
        if error.reason == "SERVICE_DISABLED":
            return failed(
                error.said, "there is no image while the API is off: bootstrap/README.md tells how to get it there"
            )
        if error.status == "NOT_FOUND":
            return failed(
                error.said, "bootstrap/README.md tells how to copy Triton's image there, and what its digest is"
            )
        raise
    return ok(address)
