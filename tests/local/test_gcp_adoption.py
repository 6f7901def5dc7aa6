"""What Google's own clients have made comes under a program's care by the `import_` option, and runs on as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.local.google_cloud import PARENT, PROJECT, REGION, GoogleCloud
from tests.local.project import Project
from tests.local.test_engines import ENGINES
from tests.local.test_gcp_faults import MACHINE, changes, deploy
from tests.local.test_gcp_life_cycle import deployed, use

BUCKET = "made-by-hand"
IMAGE = f"{REGION}-docker.pkg.dev/{PROJECT}/serving/triton@sha256:{'0' * 64}"
PROGRAM = f"""
import pulumi

from cohost.resources_vertex import DeployedModel, Model

place = {{"project": "{PROJECT}", "region": "{REGION}"}}
model = Model(
    "adopted",
    **place,
    model_id="by-hand",
    display_name="By hand",
    image="{IMAGE}",
    args=["--vertex-ai-default-model=iris"],
    env={{}},
    predict_route="/predict",
    health_route="/health",
    ports=[8080],
    shared_memory_mb=64,
    deployment_timeout_s=60,
    artifact_uri="gs://{BUCKET}/models",
    labels={{"team": "vision"}},
    aliases=[],
    opts=pulumi.ResourceOptions(import_="{PARENT}/models/by-hand"),
)
DeployedModel(
    "adopted",
    **place,
    endpoint="ENDPOINT",
    model=model.version_name,
    display_name="by hand",
    machine_type="{MACHINE["machine_type"]}",
    accelerator_type="{MACHINE["accelerator_type"]}",
    accelerator_count={MACHINE["accelerator_count"]},
    min_replicas=1,
    max_replicas=1,
    autoscaling_targets={{}},
    spot=False,
    service_account="",
    disable_container_logging=False,
    enable_access_logging=False,
    opts=pulumi.ResourceOptions(import_="ENDPOINT/deployedModels/NUMBER"),
)
"""


@dataclass(frozen=True)
class Made:
    """Full name of an endpoint, and the id of what is deployed on it."""

    endpoint: str
    deployed: str


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_and_its_deployment_made_by_googles_own_clients_are_adopted_and_show_no_change(
    small_project: Project, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    cloud = use(small_project, monkeypatch)
    made = by_hand(small_project, cloud)
    program = PROGRAM.replace("ENDPOINT", made.endpoint).replace("NUMBER", made.deployed)
    (small_project.root / "__main__.py").write_text(program)
    assert operations(small_project, "preview", engine) == {"Model": "import", "DeployedModel": "import"}
    assert operations(small_project, "up", engine) == {"Model": "import", "DeployedModel": "import"}
    assert changes(small_project, "preview") == {}
    assert changes(small_project, "refresh") == {}
    assert changes(small_project, "up") == {}
    assert deployed(cloud.endpoint()) == {made.deployed}
    assert len(cloud.deployments()) == 1
    small_project.operate("destroy", stack="gcp")
    assert cloud.leftovers() == {"endpoint": [cloud.endpoint().name], "bucket": [BUCKET]}


def by_hand(project: Project, cloud: GoogleCloud) -> Made:
    """Makes a bucket with a model, the Model of it, an endpoint, and a deployment that has all calls."""
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    bucket = client.create_bucket(BUCKET)
    folder = project.root / "model_artifacts"
    for path in (each for each in (folder / "iris").rglob("*") if each.is_file()):
        bucket.blob(f"models/{path.relative_to(folder).as_posix()}").upload_from_filename(str(path))
    container = {
        "image_uri": IMAGE,
        "args": ["--vertex-ai-default-model=iris"],
        "predict_route": "/predict",
        "health_route": "/health",
        "ports": [{"container_port": 8080}],
        "shared_memory_size_mb": 64,
        "deployment_timeout": "60s",
    }
    model: Any = {"display_name": "By hand", "artifact_uri": f"gs://{BUCKET}/models", "labels": {"team": "vision"}}
    request: Any = {"parent": PARENT, "model": {**model, "container_spec": container}, "model_id": "by-hand"}
    uploading: Any = cloud.models.upload_model(request)
    creating: Any = cloud.endpoints.create_endpoint(
        parent=PARENT,
        endpoint={"display_name": "by hand"},  # type: ignore[arg-type]
        endpoint_id="4711",
    )
    model_name, endpoint = uploading.result(timeout=60).model, creating.result(timeout=60).name
    made = Made(endpoint, deploy(cloud, endpoint, model_name))
    share: Any = {"name": endpoint, "traffic_split": {made.deployed: 100}}
    cloud.endpoints.update_endpoint(request={"endpoint": share, "update_mask": {"paths": ["traffic_split"]}})
    return made


def operations(project: Project, operation: str, engine: str) -> dict[str, str]:
    """What an operation does to each of the stack's own resources, by type."""
    told = project.operate(operation, "--engine", engine, stack="gcp")["changes"]
    return {each["type"].rpartition(":")[2]: each["op"] for each in told if each["type"].startswith("cohost:")}
