"""The shared endpoint: one Vertex AI endpoint with Triton on GPUs, for all models of a catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pulumi
import pulumi_gcp as gcp

from cohost import gcp_rules, release, tokens
from cohost.gcp_settings import Canary, Encryption, Endpoint, Machine, Verify
from cohost.resources import ArtifactSet
from cohost.resources_vertex import DeployedModel, EndpointDrain, Model, ModelSet, VertexActiveRelease
from components.gcp.artifact_store import ArtifactStore
from components.gcp.service_identity import ServiceIdentity
from components.gcp.serving_account import ServingAccount
from components.gcp.stack import Stack
from components.names import Fault, refuse

# Paths inside the container, which Vertex AI tells Triton by AIP_PREDICT_ROUTE and AIP_HEALTH_ROUTE.
_PREDICT_ROUTE: Final = "/predict"
_HEALTH_ROUTE: Final = "/health"
_PORT: Final = 8080
# Triton's backends share tensors through /dev/shm, for which Vertex AI gives 64 MB unless told otherwise.
_SHARED_MEMORY_MB: Final = 1024
# The image is several GB, and a repository may be too; Google's limit is two hours.
_START_SECONDS: Final = 3600
# Triton opens its port once all models are loaded (main.cc), and Vertex AI restarts a container whose port is still
# closed after four attempts, 10 seconds apart (custom container requirements, "Liveness checks"): a large catalog would
# never come up. No other probe runs before this one has succeeded. The two others are Vertex AI's own.
_PROBE_SECONDS: Final = 10
_STARTUP_PROBE: Final = {
    "httpGet": {"path": _HEALTH_ROUTE, "port": _PORT},
    "periodSeconds": _PROBE_SECONDS,
    "timeoutSeconds": _PROBE_SECONDS,
    "failureThreshold": _START_SECONDS // _PROBE_SECONDS,
}
_DEPLOYMENT: Final = "2h"
# What tells releases apart in logical names and labels.
_SHORT: Final = 12
_LABEL: Final = 32


@dataclass(frozen=True, kw_only=True)
class SharedEndpointArgs:
    """What the endpoint is made of.

    Attributes:
        stack: Whose it is.
        store: Where its models are.
        artifacts: What is in the store.
        identity: Reads the models for Vertex AI.
        account: What the containers run as.
        image: The serving image.
        digests: Artifact digest by model name.
        labels: Owner and framework by model name.
        machine: The fleet.
        endpoint: How callers reach it.
        encryption: The key of models and endpoint.
        update: Whether a new release comes up beside the old one or after it.
        canary: A stable release to keep beside the new one.
    """

    stack: Stack
    store: ArtifactStore
    artifacts: ArtifactSet
    identity: ServiceIdentity
    account: ServingAccount
    image: str
    digests: Mapping[str, str]
    labels: Mapping[str, Mapping[str, str]]
    machine: Machine = field(default_factory=Machine)
    endpoint: Endpoint = field(default_factory=Endpoint)
    encryption: Encryption = field(default_factory=Encryption)
    update: Literal["surge", "replace"] = "surge"
    canary: Canary | None = None

    def faults(self) -> list[Fault]:
        """Returns what is wrong with the arguments."""
        region = self.stack.region
        return [
            *(("image", fault) for fault in gcp_rules.image(self.image, region)),
            *gcp_rules.machine(self.machine, region),
            *gcp_rules.endpoint(self.endpoint),
            *gcp_rules.encryption(self.encryption, region),
            *gcp_rules.canary(self.canary, self.update),
        ]

    @property
    def release(self) -> str:
        """Digest of the release."""
        return release.Release(self.digests).digest

    @property
    def stable(self) -> Canary | None:
        """The stable release to keep; None where there is none, or the new one is the same."""
        return self.canary if self.canary and self.canary.stable != self.release else None


class SharedEndpoint(pulumi.ComponentResource):
    """One endpoint, however many models.

    A deployed model cannot change: a new release is a new one beside the old, under a logical name of its own, so
    that Pulumi undeploys the old one last. On destroy the endpoint is drained after everything that is deployed by
    this program is gone, and before models and endpoint are deleted: neither can go while anything is deployed.

    Attributes:
        name: The endpoint's full name: `projects/…/locations/…/endpoints/…`.
        number: The last part of it.
        dns: The address of a dedicated endpoint; empty for others.
    """

    name: pulumi.Output[str]
    number: pulumi.Output[str]
    dns: pulumi.Output[str]

    def __init__(self, name: str, args: SharedEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the endpoint and what belongs to it.

        Raises:
            InputPropertiesError: With everything wrong in the arguments.
        """
        refuse(name, args.faults())
        super().__init__(tokens.GCP_SHARED_ENDPOINT, name, None, opts)
        self._name, self._args, self._stack = name, args, args.stack
        models, repository = self._models(), self._repository()
        endpoint = self._endpoint()
        self.number = endpoint.name
        self.dns = endpoint.dedicated_endpoint_dns.apply(lambda dns: (dns or "").removeprefix("https://"))
        place = f"projects/{self._stack.project}/locations/{self._stack.region}"
        drain = EndpointDrain(
            name,
            project=self._stack.project,
            region=self._stack.region,
            endpoint=pulumi.Output.concat(f"{place}/endpoints/", endpoint.name),
            # Models that somebody has deployed by hand cannot be deleted before they are undeployed.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[models, repository]),
        )
        self.name = drain.endpoint
        self._stable = self._deployed_stable(repository, args.stable) if args.stable else None
        self._deployed = self._deployed_model(args.release, repository.version_name, pulumi.ResourceOptions())
        self.register_outputs({"name": self.name, "dns": self.dns})

    def activate(self, catalog: str, verify: Verify) -> VertexActiveRelease:
        """Declares which release callers get: verified on a share of the traffic, then written to the store.

        Args:
            catalog: Path of catalog.yaml, absolute or relative to Pulumi.yaml.
            verify: What is looked at before.
        """
        args, stable = self._args, self._args.stable
        canary: dict[str, Any] | None = None
        if stable and self._stable:
            canary = {
                "weight": stable.weight,
                "stableDeployedModel": self._stable.deployed_model_id,
                "stableRelease": stable.stable,
            }
        return VertexActiveRelease(
            self._name,
            project=self._stack.project,
            region=self._stack.region,
            store=args.store.url,
            catalog=catalog,
            endpoint=self.name,
            deployed_model=self._deployed.deployed_model_id,
            models=args.digests,
            release=args.artifacts.release,
            probe_percent=verify.probe_percent,
            gpu=verify.gpu,
            canary=canary,
            address=args.endpoint.address,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[args.artifacts],
                # Its deletion, the first of a destroy, sends callers away.
                protect=self._stack.production,
                custom_timeouts=pulumi.CustomTimeouts(create=_DEPLOYMENT, update=_DEPLOYMENT),
            ),
        )

    def _models(self) -> ModelSet:
        """Each model of the catalog in the Model Registry, for its lineage; what is deployed is their repository."""
        args = self._args
        return ModelSet(
            self._name,
            project=self._stack.project,
            region=self._stack.region,
            store=args.store.url,
            prefix=self._stack.prefix,
            image=args.image,
            models=args.digests,
            labels=args.labels,
            opts=self._after_the_artifacts(),
        )

    def _repository(self) -> Model:
        args, stack = self._args, self._stack
        return Model(
            self._name,
            project=stack.project,
            region=stack.region,
            # No model of the set has this id: theirs have the model's name behind it.
            model_id=stack.prefix,
            display_name=stack.prefix,
            image=args.image,
            args=_triton(stack.owner),
            env={},
            predict_route=_PREDICT_ROUTE,
            health_route=_HEALTH_ROUTE,
            ports=[_PORT],
            shared_memory_mb=_SHARED_MEMORY_MB,
            deployment_timeout_s=_START_SECONDS,
            startup_probe=_STARTUP_PROBE,
            artifact_uri=pulumi.Output.concat(args.store.url, "/repositories/", args.artifacts.release),
            labels={**stack.labels, "release": args.release[:_LABEL]},
            aliases=[_alias(args.release)],
            kms_key=args.encryption.kms_key,
            opts=self._after_the_artifacts(),
        )

    def _after_the_artifacts(self) -> pulumi.ResourceOptions:
        # Vertex AI copies artifacts when a version is made, and needs its permissions for that.
        before = [self._args.artifacts, *self._args.identity.grants]
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=before,
            custom_timeouts=pulumi.CustomTimeouts(create=_DEPLOYMENT, update=_DEPLOYMENT),
        )

    def _endpoint(self) -> gcp.vertex.AiEndpoint:
        args, stack, wanted = self._args, self._stack, self._args.endpoint
        key = args.encryption.kms_key
        private: gcp.vertex.AiEndpointPrivateServiceConnectConfigArgsDict = {
            "enable_private_service_connect": True,
            "project_allowlists": list(wanted.allowed_projects),
        }
        # With one of these changed it is another endpoint. Key, private service connect and its projects cannot change
        # (magic-modules, vertexai/Endpoint.yaml, immutable), and nothing says that an address can.
        kind = wanted.kind if wanted.kind != "shared" else None
        immutable = [text for text in (key, kind, *sorted(wanted.allowed_projects)) if text]
        return gcp.vertex.AiEndpoint(
            self._name,
            name=wanted.name or stack.endpoint_number(*immutable),
            display_name=stack.physical(self._name),
            location=stack.region,
            # The provider makes its address of this one.
            region=stack.region,
            dedicated_endpoint_enabled=True if wanted.kind == "dedicated" else None,
            private_service_connect_config=private if wanted.kind == "psc" else None,
            encryption_spec={"kms_key_name": key} if key else None,
            labels=stack.labels,
            # No traffic split: that is the active release's.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.identity.grants),
                protect=stack.production,
                # A live endpoint is never deleted to make room: a replacement has another name, unless one is given.
                delete_before_replace=False,
            ),
        )

    def _deployed_stable(self, repository: Model, canary: Canary) -> DeployedModel:
        """The stable release as it was deployed: its model version is in the state, and stays.

        Where it is not in the state, the version is found by its alias, or Google says that there is none.
        """
        version = pulumi.Output.concat(repository.name, "@", _alias(canary.stable))
        return self._deployed_model(canary.stable, version, pulumi.ResourceOptions(ignore_changes=["model"]))

    def _deployed_model(self, of: str, version: pulumi.Input[str], opts: pulumi.ResourceOptions) -> DeployedModel:
        args, machine, surge = self._args, self._args.machine, self._args.update == "surge"
        common = pulumi.ResourceOptions(
            parent=self,
            # Not even for `update: replace`: the plugin undeploys the old one itself, and brings it back on a failure.
            delete_before_replace=False,
            custom_timeouts=pulumi.CustomTimeouts(create=_DEPLOYMENT, update=_DEPLOYMENT, delete=_DEPLOYMENT),
        )
        return DeployedModel(
            # Under its own name a release is not replaced, but made before the old one goes.
            f"{self._name}-{of[:_SHORT]}" if surge else self._name,
            project=self._stack.project,
            region=self._stack.region,
            endpoint=self.name,
            model=version,
            display_name=f"{self._stack.prefix}-{of[:_SHORT]}",
            machine_type=machine.type,
            accelerator_type=machine.accelerator,
            accelerator_count=machine.accelerator_count,
            min_replicas=machine.min_replicas,
            max_replicas=machine.max_replicas,
            autoscaling_targets=machine.autoscaling_targets,
            spot=machine.spot,
            service_account=args.account.email,
            disable_container_logging=not args.endpoint.container_logs,
            enable_access_logging=args.endpoint.access_logs,
            update=args.update,
            opts=pulumi.ResourceOptions.merge(common, opts),
        )


def _alias(of: str) -> str:
    """Returns the alias of a release's model version, which must begin with a letter."""
    return f"release-{of[:_LABEL]}"


def _triton(owner: str) -> list[str]:
    """Returns Triton's arguments; its image puts the command before them.

    Strict start: a model that does not load ends the server, and so the deployment, before it gets any traffic.
    """
    # Of use to nobody: without it, whoever may call the endpoint cannot load models or register memory. Versions
    # before 2.67 take the option, and do not apply it to Vertex AI's routes.
    nobody = hashlib.sha256(owner.encode()).hexdigest()
    return [
        f"--vertex-ai-default-model={release.CANARY}",
        "--exit-on-error=true",
        "--strict-readiness=true",
        "--model-control-mode=none",
        f"--http-restricted-api=model-repository,shared-memory:cohost-restricted={nobody}",
    ]
