"""The emulated Google project seen from outside: Google's own clients, and what is in it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.aiplatform_v1 import EndpointServiceClient, ModelServiceClient
from google.oauth2.credentials import Credentials

from cohost.local import emulators
from cohost.release import CURRENT_KEY
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE
from tests.local.project import Project

PROJECT, REGION = "my-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"


@dataclass(frozen=True)
class GoogleCloud:
    """Plain clients of the local Cloud Storage and Vertex AI."""

    project: Project
    variables: Mapping[str, str]

    @property
    def endpoints(self) -> EndpointServiceClient:
        return self._vertex(EndpointServiceClient)

    @property
    def models(self) -> ModelServiceClient:
        return self._vertex(ModelServiceClient)

    def endpoint(self) -> Any:
        """The only endpoint there is."""
        (found,) = self.endpoints.list_endpoints(parent=PARENT)
        return found

    def served_versions(self) -> dict[str, bool]:
        """Each version of the model that is deployed on the endpoint: whether it is itself deployed."""
        model = self.endpoint().deployed_models[0].model.partition("@")[0]
        return {each.version_id: bool(each.deployed_models) for each in self.models.list_model_versions(name=model)}

    def keys(self, prefix: str = "") -> dict[str, int]:
        """Generation by key."""
        (bucket,) = self._storage().list_buckets()
        return {blob.name: blob.generation for blob in bucket.list_blobs(prefix=prefix)}

    def current(self) -> dict[str, Any]:
        """What `releases/current.json` holds."""
        (bucket,) = self._storage().list_buckets()
        return json.loads(bucket.blob(CURRENT_KEY).download_as_bytes())

    def leftovers(self) -> dict[str, list[str]]:
        """Everything that costs, or is in the way of another `up`."""
        found = {
            "endpoint": [each.name for each in self.endpoints.list_endpoints(parent=PARENT)],
            "model": [each.name for each in self.models.list_models(parent=PARENT)],
            "bucket": [each.name for each in self._storage().list_buckets()],
            "machines": [each["id"] for each in self.deployments() if each["ended"] is None],
        }
        return {kind: names for kind, names in found.items() if names}

    def deployments(self) -> list[dict[str, Any]]:
        """Everything that ever ran, gone or not."""
        return self._ask("/-/deployments")

    def stages(self) -> list[str]:
        """The stage of each operation that runs on an endpoint."""
        found = [each.name for each in self.endpoints.list_endpoints(parent=PARENT)]
        running = [self._ask(f"/v1/{name}/operations?filter=done=false").get("operations", []) for name in found]
        return [each["metadata"].get("deploymentStage", "") for operations in running for each in operations]

    def limit(self, **limits: Any) -> None:
        """Sets the emulated project's limits."""
        emulators.set_limits(self.project.root, emulators.GCP, limits)

    def _ask(self, path: str) -> Any:
        request = urllib.request.Request(self._address + path, headers={"Authorization": "Bearer any"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    @property
    def _address(self) -> str:
        return self.variables[VERTEX_ENDPOINT_OVERRIDE].rstrip("/")

    def _vertex(self, client: Any) -> Any:
        options = ClientOptions(api_endpoint=self._address)
        return client(transport="rest", credentials=Credentials("any"), client_options=options)  # type: ignore[no-untyped-call]

    def _storage(self) -> storage.Client:
        options = ClientOptions(api_endpoint=self.variables["STORAGE_EMULATOR_HOST"])
        return storage.Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)  # type: ignore[no-untyped-call]


def google_cloud_of(project: Project) -> GoogleCloud:
    """The Google project behind a project's emulators."""
    return GoogleCloud(project, project.cloud("gcp"))
