from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from cohost import catalog, validation
from cohost.client import smoke
from cohost.local.large_model import make_large_model
from scripts.train.__main__ import train_all
from scripts.train.folder import Arrays, Trained

FOLDER = Path(__file__).resolve().parents[2] / "model_artifacts"
CATALOG = catalog.load(FOLDER / "catalog.yaml")
NAMES = [model.name for model in CATALOG.models]


@cache
def trained() -> dict[str, Trained]:
    """The models trained anew, for the rows that the committed ones have never seen."""
    return {model.name: model for model in train_all()}


def steps(name: str) -> list[Path]:
    """The ONNX files of a model in the order in which the ensemble calls them."""
    folder = FOLDER / name
    if (folder / "config.pbtxt").exists():
        return [folder / "1" / "model.onnx"]
    return [folder / step.name / "1" / "model.onnx" for step in trained()[name].steps]


def predict(paths: list[Path], inputs: Arrays) -> dict[str, Any]:
    """Outputs as Triton gives them: the batch first, labels as [batch, 1], text as bytes."""
    tensors: dict[str, Any] = {
        name: np.array([[item.decode() for item in row] for row in array], object)
        if array.dtype == object and isinstance(array.flat[0], bytes)
        else array
        for name, array in inputs.items()
    }
    for path in paths:
        session = onnxruntime.InferenceSession(path.read_bytes())
        names = [output.name for output in session.get_outputs()]
        tensors = dict(zip(names, session.run(names, tensors), strict=True))
    for name, array in tensors.items():
        rows = array.reshape(-1, 1) if array.ndim == 1 else array
        text = rows.dtype == object
        tensors[name] = np.array([[item.encode() for item in row] for row in rows], object) if text else rows
    return tensors


def test_the_catalog_names_at_least_seven_models_and_has_no_problem() -> None:
    assert len(NAMES) >= 7
    assert validation.validate(CATALOG) == []


def test_the_committed_models_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 3_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_model_answers_its_smoke_test_on_onnx_runtime(name: str) -> None:
    test = smoke.load(FOLDER / name / smoke.FILE)
    outputs = predict(steps(name), test.inputs())
    assert test.check(outputs) is None
    assert len(test.beside_truth(outputs)) == len(test.truth) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_smoke_test_has_the_signature_of_its_model(name: str) -> None:
    test = smoke.load(FOLDER / name / smoke.FILE)
    signature = catalog.signature(FOLDER / name)
    for tensors, specs in ((test.request, signature.inputs), (test.expected, signature.outputs)):
        assert {(tensor.name, tensor.datatype, tensor.array.shape[1:]) for tensor in tensors} == {
            (spec.name, spec.datatype, spec.shape) for spec in specs
        }


@pytest.mark.parametrize("name", NAMES)
def test_no_class_of_a_smoke_test_is_decided_by_less_than_its_tolerance(name: str) -> None:
    test = smoke.load(FOLDER / name / smoke.FILE)
    for tensor in test.expected:
        if tensor.name in ("probabilities", "scores"):
            best = np.sort(tensor.array, axis=1)[:, ::-1]
            assert (best[:, 0] - best[:, 1] > 4 * test.tolerance).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_metric_holds_on_rows_that_the_model_has_never_seen(name: str) -> None:
    recorded = json.loads((FOLDER / "metrics.json").read_text())[name]
    model = trained()[name]
    answers = predict(steps(name), model.inputs)[model.answer].reshape(-1)
    assert len(answers) == recorded["held_out_rows"]
    if recorded["metric"] == "accuracy":
        truth = [item.encode() if isinstance(item, str) else item for item in model.truth]
        value = float(np.mean(answers == np.array(truth, answers.dtype)))
    else:
        value = float(1 - np.sum((model.truth - answers) ** 2) / np.sum((model.truth - model.truth.mean()) ** 2))
    assert value == pytest.approx(recorded["value"], abs=0.005)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("model.onnx")), ids=lambda path: path.parts[-3])
def test_a_model_uses_only_standard_operators_of_opsets_that_triton_has_long_had(path: Path) -> None:
    model = onnx.load(path)
    assert model.ir_version <= 10
    assert {opset.domain for opset in model.opset_import} <= {"", "ai.onnx.ml"}
    assert all(opset.version <= {"": 20, "ai.onnx.ml": 3}[opset.domain] for opset in model.opset_import)


def test_a_large_model_is_valid_answers_its_smoke_test_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_large_model(tmp_path / folder / "large", "large", 4, seed)
    files = [(tmp_path / folder / "large" / "1" / "model.onnx").read_bytes() for folder in "abc"]
    assert len(files[0]) >= 4 << 20
    assert files[0] == files[1] != files[2]
    test = smoke.load(tmp_path / "a" / "large" / smoke.FILE)
    assert test.check(predict([tmp_path / "a" / "large" / "1" / "model.onnx"], test.inputs())) is None
    (tmp_path / "a" / "catalog.yaml").write_text("models:\n  - {name: large, path: large, owner: a-team, tags: {}}\n")
    assert validation.validate(catalog.load(tmp_path / "a" / "catalog.yaml")) == []


def test_a_large_model_beyond_what_onnx_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="within 1 and 2000"):
        make_large_model(tmp_path, "large", 3000, 1)
