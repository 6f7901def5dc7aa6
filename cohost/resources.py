"""The resources of the project's own provider plugin, as a program declares them.

Properties keep their wire names (camelCase) inside and have Python names outside. No name translation is
given to the SDK on purpose: it would also translate the keys of `models`, which are the user's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from cohost import tokens

__all__ = ["ArtifactSet", "EndpointName", "SageMakerActiveRelease"]


class OwnResource(pulumi.CustomResource):
    """A resource of the plugin; its properties stand in `__dict__` under their wire names."""

    def _output(self, wire_name: str) -> pulumi.Output[Any]:
        return cast("pulumi.Output[Any]", self.__dict__[wire_name])


class ArtifactSet(OwnResource):
    """Every artifact of a catalog in the store: one resource, whatever the number of models."""

    def __init__(
        self,
        resource_name: str,
        *,
        region: pulumi.Input[str],
        store: pulumi.Input[str],
        catalog: pulumi.Input[str],
        models: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the set; a changed model is one changed entry of `models`.

        Args:
            resource_name: The logical name.
            region: Region of the store's bucket.
            store: `s3://<bucket>/<prefix>`, without a trailing slash.
            catalog: Path of catalog.yaml, absolute or relative to Pulumi.yaml.
            models: Artifact digest (64 hex digits) by model name.
            opts: Resource options.
        """
        props = {"region": region, "store": store, "catalog": catalog, "models": models, "release": None}
        super().__init__(tokens.ARTIFACT_SET, resource_name, props, opts)

    @property
    def release(self) -> pulumi.Output[str]:
        """Digest of the release that these artifacts make; known in previews."""
        return self._output("release")

    @property
    def store(self) -> pulumi.Output[str]:
        """The store's URL, once every artifact is in it."""
        return self._output("store")

    @property
    def catalog(self) -> pulumi.Output[str]:
        """The catalog's path as given."""
        return self._output("catalog")

    @property
    def models(self) -> pulumi.Output[Mapping[str, str]]:
        """Digest by model name, once every artifact is in the store."""
        return self._output("models")


class EndpointName(OwnResource):
    """The right to create or update a SageMaker endpoint of this name: free of our own failed one."""

    def __init__(
        self,
        resource_name: str,
        *,
        region: pulumi.Input[str],
        name: pulumi.Input[str],
        instance_type: pulumi.Input[str],
        instance_count: pulumi.Input[int],
        endpoint_config: pulumi.Input[str],
        rollback_alarms: pulumi.Input[Sequence[pulumi.Input[str]]],
        owner: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the name; the endpoint takes it from the output `name`.

        Args:
            resource_name: The logical name.
            region: Region of the endpoint.
            name: The endpoint's name.
            instance_type: Its instance type, for the quota check.
            instance_count: How many instances it begins with; an update needs twice as many for a while.
            endpoint_config: Name of its endpoint configuration; another one means an update.
            rollback_alarms: Names of the alarms that roll an update back; fixed once the endpoint lives.
            owner: "<project>/<stack>", which is also the endpoint's tag `cohost:stack`.
            opts: Resource options.
        """
        props = {
            "region": region,
            "name": name,
            "instanceType": instance_type,
            "instanceCount": instance_count,
            "endpointConfig": endpoint_config,
            "rollbackAlarms": rollback_alarms,
            "owner": owner,
        }
        super().__init__(tokens.SAGEMAKER_ENDPOINT_NAME, resource_name, props, opts)

    @property
    def name(self) -> pulumi.Output[str]:
        """The endpoint's name, once it may be used."""
        return self._output("name")

    @property
    def owner(self) -> pulumi.Output[str]:
        """The stack that owns the name."""
        return self._output("owner")

    @property
    def instance_type(self) -> pulumi.Output[str]:
        """The instance type whose quota was checked."""
        return self._output("instanceType")

    @property
    def instance_count(self) -> pulumi.Output[int]:
        """The number of instances whose quota was checked (the wire knows only floats)."""
        return self._output("instanceCount").apply(int)

    @property
    def endpoint_config(self) -> pulumi.Output[str]:
        """The endpoint configuration that the name may be used with."""
        return self._output("endpointConfig")

    @property
    def rollback_alarms(self) -> pulumi.Output[Sequence[str]]:
        """The alarms chosen at creation."""
        return self._output("rollbackAlarms")


class ActiveRelease(OwnResource):
    """The release that callers get, on whichever platform."""

    @property
    def release(self) -> pulumi.Output[str]:
        """Digest of the release, once it is active."""
        return self._output("release")

    @property
    def endpoint(self) -> pulumi.Output[str]:
        """The endpoint's name (Vertex AI: its full name), once it serves the release."""
        return self._output("endpoint")

    @property
    def store(self) -> pulumi.Output[str]:
        """The store's URL."""
        return self._output("store")

    @property
    def models(self) -> pulumi.Output[Mapping[str, str]]:
        """Digest by model name of the release."""
        return self._output("models")


class SageMakerActiveRelease(ActiveRelease):
    """The release that callers get: verified on the live endpoint, then activated."""

    def __init__(
        self,
        resource_name: str,
        *,
        region: pulumi.Input[str],
        store: pulumi.Input[str],
        catalog: pulumi.Input[str],
        endpoint: pulumi.Input[str],
        endpoint_config: pulumi.Input[str],
        variant: pulumi.Input[str],
        models: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        release: pulumi.Input[str],
        gpu: pulumi.Input[bool],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declares the active release.

        Args:
            resource_name: The logical name.
            region: Region of the endpoint and the store.
            store: The store's URL.
            catalog: Path of catalog.yaml (for the smoke tests), absolute or relative to Pulumi.yaml.
            endpoint: The endpoint's name.
            endpoint_config: Name of the endpoint configuration that it must run.
            variant: The production variant's name.
            models: Artifact digest by model name.
            release: Digest of the release, as `ArtifactSet.release` gives it.
            gpu: Whether a first release must be seen to use the GPU (CloudWatch).
            opts: Resource options; `custom_timeouts` bound the waiting (default 60 minutes).
        """
        props = {
            "region": region,
            "store": store,
            "catalog": catalog,
            "endpoint": endpoint,
            "endpointConfig": endpoint_config,
            "variant": variant,
            "models": models,
            "release": release,
            "gpu": gpu,
        }
        super().__init__(tokens.SAGEMAKER_ACTIVE_RELEASE, resource_name, props, opts)
