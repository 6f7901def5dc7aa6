"""The steps of the training pipelines, run one after the other on this machine."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from cohost import artifact, catalog, layout, release, training_steps
from cohost.s3 import S3Store
from scripts.pipeline import evaluate, push, train
from scripts.train.__main__ import TRAINERS
from tests.unit.moto_s3 import moto_s3

BUCKET = "models"
REGION = "us-east-1"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/sagemaker-tritonserver:26.05-py3"
MODULES: dict[str, ModuleType] = {module.__name__: module for module in (train, evaluate, push)}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    with moto_s3() as environment:
        # moto keeps what a server before it in this process had.
        urllib.request.urlopen(f"{environment['AWS_ENDPOINT_URL']}/moto-api/reset", data=b"")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        s3: Any = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        yield S3Store.open(f"s3://{BUCKET}", region=REGION)


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return Pipeline(tmp_path, monkeypatch)


class Pipeline:
    """Runs the steps as an orchestrator does: their commands, with folders for what they hand on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch

    def place(self, step: str, name: str) -> Path:
        return self._folder / step / name

    def run(self, model: str, floor: float, *more: str) -> dict[str, int]:
        """The exit code of each step that was run; a step that fails is the last."""
        codes: dict[str, int] = {}
        for name in ("Train", "Evaluate", "Push"):
            (step,) = [step for step in self._steps(model, floor, name, more) if step.name == name]
            self._monkeypatch.setattr(sys, "argv", [step.module, *step.arguments])
            codes[name] = MODULES[step.module].main()
            if codes[name]:
                break
        return codes

    def _steps(self, model: str, floor: float, running: str, more: tuple[str, ...]) -> tuple[training_steps.Step, ...]:
        return training_steps.steps(
            read=lambda step, name: str(self.place(step, name)),
            write=lambda name: str(self.place(running, name)),
            model=model,
            floor=str(floor),
            store=f"s3://{BUCKET}",
            push=more,
        )


def test_a_model_that_is_good_enough_ends_in_the_store_where_a_catalog_names_it_by_its_digest(
    store: S3Store, pipeline: Pipeline, tmp_path: Path
) -> None:
    assert pipeline.run("iris", 0.8) == {"Train": 0, "Evaluate": 0, "Push": 0}
    pushed = json.loads((pipeline.place("Push", "pushed") / push.PUSHED).read_text())
    assert pushed["artifact"] == artifact.digest(pipeline.place("Train", "model") / "iris")
    file = tmp_path / "catalog.yaml"
    file.write_text(f"models:\n  - {{name: iris, artifact: {pushed['artifact']}, owner: botany-team}}\n")
    digests = artifact.digests(catalog.load(file))
    assert digests == {"iris": pushed["artifact"]}
    # What `up` does with such an entry: it uploads nothing, and finds the smoke test beside the artifact.
    done = layout.publish({"iris": (None, digests["iris"])}, store)
    assert (done.uploaded, done.present) == ((), ("iris",))
    assert json.loads(store.get(release.smoke_key("iris", digests["iris"]))[0])["request"]


def test_a_model_below_the_floor_ends_the_pipeline_and_nothing_is_pushed(
    store: S3Store, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline.run("diabetes", 0.99) == {"Train": 0, "Evaluate": 1}
    assert "below the floor of 0.99; not pushed" in capsys.readouterr().err
    report = json.loads((pipeline.place("Evaluate", "report") / evaluate.REPORT).read_text())
    assert (report["passed"], report["metric"]) == (False, "r2")
    assert list(store.list()) == []


def test_a_report_that_has_not_passed_is_refused_by_the_last_step_too(
    store: S3Store, pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.run("iris", 0.999)
    code = _main(
        push,
        *("--model", str(pipeline.place("Train", "model")), "--report", str(pipeline.place("Evaluate", "report"))),
        *("--store", f"s3://{BUCKET}", "--out", str(tmp_path / "out")),
    )
    assert code == 2
    assert "only a model that has passed is pushed" in capsys.readouterr().err
    assert list(store.list()) == []


def test_a_version_is_noted_in_the_group_for_somebody_to_approve(store: S3Store, pipeline: Pipeline) -> None:
    client: Any = boto3.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="cohost-dev-iris")
    more = ("--region", REGION, "--model-package-group", "cohost-dev-iris", "--serving-image", IMAGE)
    assert pipeline.run("iris", 0.8, *more)["Push"] == 0
    pushed = json.loads((pipeline.place("Push", "pushed") / push.PUSHED).read_text())
    package = client.describe_model_package(ModelPackageName=pushed["model_package"])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["artifact"] == pushed["artifact"]
    url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert store.head(url.removeprefix(f"s3://{BUCKET}/")) is not None


def test_the_last_step_names_everything_that_a_group_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path)
    given = ("--model", folder, "--report", folder, "--store", "s3://b", "--out", folder)
    assert _main(push, *given, "--model-package-group", "g") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["--region", "--serving-image"]


def test_a_model_that_nobody_trains_is_refused_with_the_nearest_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _main(train, "--model", "digit", "--out", str(tmp_path / "m"), "--held-out", str(tmp_path / "h"))
    assert code == 2
    assert 'did you mean "digits"?' in capsys.readouterr().err


def test_a_file_of_held_out_rows_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "held-out.json").write_text("{}")
    folder = str(tmp_path)
    assert _main(evaluate, "--model", folder, "--held-out", folder, "--floor", "0.5", "--out", folder) == 2
    assert f"{tmp_path}/held-out.json: is not what `scripts.pipeline.train` writes" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["handwriting", "subject"])
def test_an_ensemble_and_a_model_of_texts_are_measured_by_their_files(name: str, pipeline: Pipeline) -> None:
    pipeline.run(name, 1.1)
    report = json.loads((pipeline.place("Evaluate", "report") / evaluate.REPORT).read_text())
    committed = json.loads((Path(__file__).parents[2] / "model_artifacts/metrics.json").read_text())[name]
    assert report["rows"] == committed["held_out_rows"]
    assert report["value"] == pytest.approx(committed["value"], abs=0.02)


def test_every_model_of_the_catalog_can_be_trained_by_its_name() -> None:
    listed = catalog.load(Path(__file__).parents[2] / "model_artifacts/catalog.yaml")
    assert {model.name for model in listed.models} == set(TRAINERS)


def _main(module: ModuleType, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module.__name__, *arguments])
        return module.main()
