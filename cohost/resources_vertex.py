"""The Vertex AI resources of the project's own provider plugin, as a program declares them.

Neither Pulumi nor Terraform has a resource for a Vertex AI Model or DeployedModel
(hashicorp/terraform-provider-google#15303, #25152). Properties keep their wire names inside, as in `cohost.resources`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi

from cohost import tokens
from cohost.resources import ActiveRelease, OwnResource

__all__ = ["DeployedModel", "EndpointDrain", "Model", "ModelSet", "VertexActiveRelease"]

Text = pulumi.Input[str]
Number = pulumi.Input[int]
Texts = pulumi.Input[Mapping[str, Text]]
Probe = pulumi.Input[Mapping[str, Any]]


class Model(OwnResource):
    """A Vertex AI Model with a container; another content is another version of it."""

    def __init__(
        self,
        resource_name: str,
        *,
        project: Text,
        region: Text,
        model_id: Text,
        display_name: Text,
        image: Text,
        args: pulumi.Input[Sequence[Text]],
        env: Texts,
        predict_route: Text,
        health_route: Text,
        ports: pulumi.Input[Sequence[Number]],
        shared_memory_mb: Number,
        deployment_timeout_s: Number,
        artifact_uri: Text,
        labels: Texts,
        aliases: pulumi.Input[Sequence[Text]],
        service_account: Text | None = None,
        kms_key: Text | None = None,
        startup_probe: Probe | None = None,
        health_probe: Probe | None = None,
        liveness_probe: Probe | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the model.

        A probe is the JSON of Google's message (REST reference of `Probe`), which is that of Kubernetes:
        `{"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10, "failureThreshold": 60}`; the other actions
        are exec, grpc and tcpSocket.

        Args:
            resource_name: The logical name.
            project: The Google Cloud project's id.
            region: Where it is registered and can be deployed: "europe-west4".
            model_id: Its id, the last part of its full name.
            display_name: Its name for people.
            image: The container's image in Artifact Registry, best by digest.
            args: The container's arguments.
            env: The container's environment; `AIP_*` is Vertex AI's own.
            predict_route: Path that requests go to.
            health_route: Path that tells whether the server is ready.
            ports: Where it listens, the first one for HTTP; none means 8080.
            shared_memory_mb: Size of /dev/shm.
            deployment_timeout_s: How long the server may take to become ready.
            artifact_uri: `gs://` folder, which Vertex AI copies when the version is made.
            labels: Of the version; lowercase.
            aliases: Names of the version beside "default", which the newest version always has.
            service_account: Reads image and artifacts for the upload; Vertex AI's service agent without it.
            kms_key: Full name of a key in the region, fixed for the model's life.
            startup_probe: Tells when the server has started; until then no other probe runs. Without it Vertex AI
                restarts a container that has not opened its port within about 40 seconds.
            health_probe: Tells whether calls may come; without it a GET of `health_route` does, every 10 seconds.
            liveness_probe: Tells whether the container must be restarted; without it a TCP connection does.
            opts: Resource options; `custom_timeouts` bound the waiting (default 60 minutes).
        """
        props = {
            "project": project,
            "region": region,
            "modelId": model_id,
            "displayName": display_name,
            "image": image,
            "args": args,
            "env": env,
            "predictRoute": predict_route,
            "healthRoute": health_route,
            "ports": ports,
            "sharedMemoryMb": shared_memory_mb,
            "deploymentTimeoutS": deployment_timeout_s,
            "artifactUri": artifact_uri,
            "labels": labels,
            "aliases": aliases,
            "serviceAccount": service_account,
            "kmsKey": kms_key,
            "startupProbe": startup_probe,
            "healthProbe": health_probe,
            "livenessProbe": liveness_probe,
            "name": None,
            "versionId": None,
            "versionName": None,
        }
        super().__init__(tokens.VERTEX_MODEL, resource_name, props, opts)

    @property
    def name(self) -> pulumi.Output[str]:
        """Full name, `projects/…/locations/…/models/ID`."""
        return self._output("name")

    @property
    def version_id(self) -> pulumi.Output[str]:
        """Number of the version that has the declared content."""
        return self._output("versionId")

    @property
    def version_name(self) -> pulumi.Output[str]:
        """Full name with the version, `…/models/ID@N`, as a deployment takes it."""
        return self._output("versionName")


class ModelSet(OwnResource):
    """Every model of a catalog registered as a Vertex AI Model of its own; one resource, whatever their number."""

    def __init__(
        self,
        resource_name: str,
        *,
        project: Text,
        region: Text,
        store: Text,
        prefix: Text,
        image: Text,
        models: Texts,
        labels: pulumi.Input[Mapping[str, Texts]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the set; a changed model is one changed entry of `models`.

        Args:
            resource_name: The logical name.
            project: The Google Cloud project's id.
            region: Where the models are registered.
            store: `gs://<bucket>/<prefix>` that holds their artifacts.
            prefix: What the ids of the models begin with.
            image: The container's image in Artifact Registry.
            models: Artifact digest by model name.
            labels: `{owner, framework}` by model name.
            opts: Resource options.
        """
        props = {
            "project": project,
            "region": region,
            "store": store,
            "prefix": prefix,
            "image": image,
            "models": models,
            "labels": labels,
            "versions": None,
        }
        super().__init__(tokens.VERTEX_MODEL_SET, resource_name, props, opts)

    @property
    def versions(self) -> pulumi.Output[Mapping[str, str]]:
        """`<model id>@<version>` by model name."""
        return self._output("versions")


class DeployedModel(OwnResource):
    """A model version on machines of its own behind an endpoint; comes up without traffic."""

    def __init__(
        self,
        resource_name: str,
        *,
        project: Text,
        region: Text,
        endpoint: Text,
        model: Text,
        display_name: Text,
        machine_type: Text,
        accelerator_type: Text,
        accelerator_count: Number,
        min_replicas: Number,
        max_replicas: Number,
        autoscaling_targets: pulumi.Input[Mapping[str, Number]],
        spot: pulumi.Input[bool],
        service_account: Text,
        disable_container_logging: pulumi.Input[bool],
        enable_access_logging: pulumi.Input[bool],
        update: pulumi.Input[Literal["surge", "replace"]] = "surge",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the deployment; only replicas, autoscaling and logging change in place.

        Args:
            resource_name: The logical name.
            project: The Google Cloud project's id.
            region: The endpoint's region.
            endpoint: The endpoint's full name.
            model: Full name of the model with its version, as `Model.version_name` gives it.
            display_name: Its name for people.
            machine_type: Such as "g2-standard-8".
            accelerator_type: Such as "NVIDIA_L4"; "" for none.
            accelerator_count: Accelerators of a replica; 0 for none.
            min_replicas: Replicas at least.
            max_replicas: Replicas at most.
            autoscaling_targets: Percent by metric; none means Google's own target.
            spot: Whether Google may take the machines away at any time.
            service_account: E-mail of the account that the container runs as.
            disable_container_logging: Whether the container's output is not kept.
            enable_access_logging: Whether each request is logged.
            update: "surge" = a new one beside the old (double quota for a while); "replace" = after it.
            opts: Resource options; `custom_timeouts` bound the waiting (default 60 minutes).
        """
        props = {
            "project": project,
            "region": region,
            "endpoint": endpoint,
            "model": model,
            "displayName": display_name,
            "machineType": machine_type,
            "acceleratorType": accelerator_type,
            "acceleratorCount": accelerator_count,
            "minReplicas": min_replicas,
            "maxReplicas": max_replicas,
            "autoscalingTargets": autoscaling_targets,
            "spot": spot,
            "serviceAccount": service_account,
            "disableContainerLogging": disable_container_logging,
            "enableAccessLogging": enable_access_logging,
            "update": update,
            "deployedModelId": None,
        }
        super().__init__(tokens.VERTEX_DEPLOYED_MODEL, resource_name, props, opts)

    @property
    def deployed_model_id(self) -> pulumi.Output[str]:
        """Its id on the endpoint, once it is up."""
        return self._output("deployedModelId")

    @property
    def endpoint(self) -> pulumi.Output[str]:
        """The endpoint's full name."""
        return self._output("endpoint")


class EndpointDrain(OwnResource):
    """Undeploys whatever is still on an endpoint before it is deleted, strays included."""

    def __init__(
        self,
        resource_name: str,
        *,
        project: Text,
        region: Text,
        endpoint: Text,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares it; it acts when it is deleted, which is after all that depends on it.

        Args:
            resource_name: The logical name.
            project: The Google Cloud project's id.
            region: The endpoint's region.
            endpoint: The endpoint's full name.
            opts: Resource options.
        """
        props = {"project": project, "region": region, "endpoint": endpoint}
        super().__init__(tokens.VERTEX_ENDPOINT_DRAIN, resource_name, props, opts)

    @property
    def endpoint(self) -> pulumi.Output[str]:
        """The endpoint's full name; what takes it from here is deleted before the endpoint is drained."""
        return self._output("endpoint")


class VertexActiveRelease(ActiveRelease):
    """The release that callers get: verified on a probe share of the traffic, then activated."""

    def __init__(
        self,
        resource_name: str,
        *,
        project: Text,
        region: Text,
        store: Text,
        catalog: Text,
        endpoint: Text,
        deployed_model: Text,
        models: Texts,
        release: Text,
        probe_percent: Number,
        gpu: pulumi.Input[bool],
        canary: pulumi.Input[Mapping[str, Any]] | None = None,
        address: Text | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the active release; it owns the endpoint's traffic split.

        Args:
            resource_name: The logical name.
            project: The Google Cloud project's id.
            region: The endpoint's region.
            store: The store's URL.
            catalog: Path of catalog.yaml (for the smoke tests), absolute or relative to Pulumi.yaml.
            endpoint: The endpoint's full name.
            deployed_model: Id of the deployed model that serves the release.
            models: Artifact digest by model name.
            release: Digest of the release, as `ArtifactSet.release` gives it.
            probe_percent: Share of the traffic while it is verified.
            gpu: Whether a first release must be seen to use the GPU.
            canary: `{weight, stableDeployedModel, stableRelease}`: both keep their shares.
            address: Where an endpoint by private service connect answers: "http://10.128.0.5".
            opts: Resource options; `custom_timeouts` bound the waiting (default 60 minutes).
        """
        props = {
            "project": project,
            "region": region,
            "store": store,
            "catalog": catalog,
            "endpoint": endpoint,
            "deployedModel": deployed_model,
            "models": models,
            "release": release,
            "probePercent": probe_percent,
            "canary": canary,
            "address": address,
            "gpu": gpu,
            "activated": None,
        }
        super().__init__(tokens.VERTEX_ACTIVE_RELEASE, resource_name, props, opts)

    @property
    def activated(self) -> pulumi.Output[Any]:
        """What callers get by `releases/current.json` now."""
        return self._output("activated")
