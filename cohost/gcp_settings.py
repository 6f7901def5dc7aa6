"""The settings of a stack on GCP, typed; docs/configuration.md describes every key.

What the types alone cannot say (which go together, what can serve) is in `cohost.gcp_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from cohost import vertex_endpoint, vertex_fleet
from cohost.setting_types import FilePath, Settings, like

# Source: Resource Manager reference, projects, projectId.
ProjectId = Annotated[
    str, like(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id (not its number or name); one is my-project-123")
]
Region = Annotated[str, like(r"[a-z]+-[a-z]+[0-9]+", "a region; one is europe-west4")]
# Source: pulumi-gcp 10.2.0, vertex.AiEndpoint, name.
EndpointNumber = Annotated[
    str, like(r"[1-9][0-9]{0,9}", "an endpoint's name: 1 to 10 digits, the first not 0, in quotes")
]
KmsKey = Annotated[
    str,
    like(
        r"projects/[^/\s]+/locations/[a-z0-9-]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+",
        "the name of a key; one is projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key",
    ),
]
ImageAddress = Annotated[
    str,
    like(
        r"[a-z0-9-]+-docker\.pkg\.dev(/[^/\s@:]+){3,}(:[^/\s@]+)?@sha256:[0-9a-f]{64}",
        "an image of Artifact Registry by its digest; one is "
        "europe-west4-docker.pkg.dev/my-project/serving/triton@sha256:<64 hex digits>",
    ),
]
# Source: IAM reference, Policy, Binding, members; who everyone is is a matter of `cohost.gcp_rules`.
Member = Annotated[
    str,
    like(
        r"(user|group|serviceAccount|domain):[^\s:]+|principal(Set)?://\S+|allUsers|allAuthenticatedUsers",
        "a member; some are user:ann@example.com, group:team@example.com, serviceAccount:app@p.iam.gserviceaccount.com",
    ),
]
ReleaseDigest = Annotated[
    str, like(r"[0-9a-f]{64}", "a release; the stack's output `release` is one (64 hex digits, in quotes)")
]
PrivateAddress = Annotated[
    str,
    like(
        vertex_endpoint.PRIVATE_ADDRESS, "http:// or https:// and a name or an IPv4 address; one is http://10.128.0.5"
    ),
]
Percent = Annotated[int, Field(ge=1, le=100)]

# Source: google-cloud-aiplatform 2.7.0, AutoscalingMetricSpec, metric_name.
_GPU_METRIC: Final = "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle"
_CPU_METRIC: Final = "aiplatform.googleapis.com/prediction/online/cpu/utilization"


class Machine(Settings):
    """The fleet: what a deployed model runs on.

    Attributes:
        type: A machine type of `cohost.vertex_fleet`.
        accelerator: Its GPU.
        accelerator_count: How many GPUs a machine has.
        min_replicas: How many machines there are at first, and at least.
        max_replicas: How many there may be; more than the minimum means autoscaling.
        gpu_percent: The share of time that autoscaling keeps GPUs busy; None = Google's own, 60.
        cpu_percent: The CPU load that autoscaling keeps to; None = Google's own, 60.
        spot: Whether the machines are Spot VMs, which Google may take away at any time.
        unlisted: Whether a combination is taken that `cohost.vertex_fleet` does not know.
    """

    type: str = Field(default_factory=vertex_fleet.default_machine)
    accelerator: str = Field(default_factory=vertex_fleet.default_accelerator)
    accelerator_count: int = Field(default=1, ge=1, le=16)
    min_replicas: int = Field(default=1, ge=1, le=100)
    max_replicas: int = Field(default=1, ge=1, le=100)
    gpu_percent: Percent | None = None
    cpu_percent: Percent | None = None
    spot: bool = False
    unlisted: bool = False

    @property
    def autoscaled(self) -> bool:
        """Whether the number of machines follows the load."""
        return self.max_replicas > self.min_replicas

    @property
    def autoscaling_targets(self) -> Mapping[str, int]:
        """Percent by the metric's name at Google; empty where Google's own hold."""
        given = {_GPU_METRIC: self.gpu_percent, _CPU_METRIC: self.cpu_percent}
        return {metric: percent for metric, percent in given.items() if percent is not None}


class Endpoint(Settings):
    """How callers reach the models.

    Attributes:
        kind: "shared" = Google's shared address (1.5 MB and 60 s a call), "dedicated" = an address of its own (10 MB),
            "psc" = private service connect (as dedicated).
        name: Its number; None = derived from project and stack.
        allowed_projects: With "psc", the projects that may connect.
        address: With "psc", where the network of whoever deploys and calls reaches it.
        access_logs: Whether every call is logged.
        container_logs: Whether Triton's own output is logged.
    """

    kind: Literal["shared", "dedicated", "psc"] = "shared"
    name: EndpointNumber | None = None
    allowed_projects: tuple[ProjectId, ...] = ()
    address: PrivateAddress | None = None
    access_logs: bool = False
    container_logs: bool = True


class Encryption(Settings):
    """With what artifacts, models and endpoint are encrypted.

    Attributes:
        kms_key: A key of yours; None = Google's own (key rings cannot be deleted, so the stack makes none).
    """

    kms_key: KmsKey | None = None


class Canary(Settings):
    """A new release beside a stable one.

    Attributes:
        weight: Percent of the calls that reach the new release; 0 takes it out of the traffic.
        stable: The release that all other calls reach.
    """

    weight: int = Field(ge=0, le=99)
    stable: ReleaseDigest


class Verify(Settings):
    """What is looked at before a release goes live, beside the smoke tests.

    Attributes:
        gpu: Whether a first release must be seen to use the GPU.
        probe_percent: Percent of the calls that a new release gets while it is looked at.
    """

    gpu: bool = True
    probe_percent: int = Field(default=5, ge=1, le=50)


class Access(Settings):
    """Who gets a role.

    Attributes:
        members: The members; none = the role is only made, for you to grant.
    """

    members: tuple[Member, ...] = ()


class GcpSettings(Settings):
    """Everything a stack on GCP can be told.

    Attributes:
        platform: The cloud.
        project: From `gcp:project`.
        region: From `gcp:region`.
        catalog: Path of catalog.yaml, relative to Pulumi.yaml or absolute.
        image: The serving image: NVIDIA's Triton, mirrored into Artifact Registry.
        machine: The fleet.
        endpoint: How callers reach the models.
        encryption: The key.
        update: "surge" = a new release comes up beside the old one (twice the quota for a while), "replace" = after it.
        canary: A new release beside a stable one; None = a new release gets all calls once it is verified.
        verify: What is looked at before a release goes live.
        caller: Who may call the endpoint.
        deployer: Who may keep the stack up to date.
        production: Whether what callers would miss is protected from deletion: store, artifacts, endpoint, release.
        force_destroy: Whether `destroy` may delete a bucket that still holds objects of others.
        labels: On every resource that can carry labels.
    """

    platform: Literal["gcp"]
    project: ProjectId
    region: Region
    catalog: FilePath = "model_artifacts/catalog.yaml"
    image: ImageAddress
    machine: Machine = Machine()
    endpoint: Endpoint = Endpoint()
    encryption: Encryption = Encryption()
    update: Literal["surge", "replace"] = "surge"
    canary: Canary | None = None
    verify: Verify = Verify()
    caller: Access = Access()
    deployer: Access = Access()
    production: bool = False
    force_destroy: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
