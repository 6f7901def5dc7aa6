"""The models of rows of numbers: scikit-learn pipelines exported by skl2onnx."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn import datasets
from sklearn.base import BaseEstimator, is_classifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from .folder import Step, Trained

# What the ONNX Runtime of every Triton release since 2022 can read.
OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained.

    Attributes:
        name: The model's name.
        owner: The team it belongs to.
        load: The data set's loader, giving scikit-learn's Bunch.
        estimator: What is fitted.
        input: The name of the input tensor.
        answer: The name of the output that answers the question.
        labels: The names of the classes when the data set has none of its own.
    """

    name: str
    owner: str
    load: Callable[[], Any]
    estimator: BaseEstimator
    input: str
    answer: str = "label"
    labels: tuple[str, ...] | None = None


RECIPES = (
    Recipe(
        name="digits",
        owner="vision-team",
        load=datasets.load_digits,
        estimator=make_pipeline(MinMaxScaler(), MLPClassifier(hidden_layer_sizes=(64,), max_iter=1000, random_state=0)),
        input="pixels",
    ),
    Recipe(
        name="breast-cancer",
        owner="health-team",
        load=datasets.load_breast_cancer,
        estimator=RandomForestClassifier(n_estimators=60, random_state=0),
        input="measurements",
    ),
    Recipe(
        name="wine",
        owner="food-team",
        load=datasets.load_wine,
        estimator=make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
        input="measurements",
        labels=("cultivar 1", "cultivar 2", "cultivar 3"),
    ),
    Recipe(
        name="iris",
        owner="botany-team",
        load=datasets.load_iris,
        estimator=make_pipeline(StandardScaler(), LogisticRegression(random_state=0)),
        input="measurements",
    ),
    Recipe(
        name="diabetes",
        owner="health-team",
        # The patients' figures as they were measured; the data set's default is centred and scaled.
        load=lambda: datasets.load_diabetes(scaled=False),
        estimator=make_pipeline(StandardScaler(), Ridge(alpha=1.0)),
        input="measurements",
        answer="progression",
    ),
)


def train(recipe: Recipe) -> Trained:
    """Fit one recipe on three quarters of its rows and keep the others."""
    bunch = recipe.load()
    rows, truth = np.asarray(bunch.data, np.float32), np.asarray(bunch.target)
    classes = is_classifier(recipe.estimator)
    split = train_test_split(rows, truth, test_size=0.25, random_state=0, stratify=truth if classes else None)
    fit_rows, rows, fit_truth, truth = map(np.asarray, split)
    recipe.estimator.fit(fit_rows, fit_truth)  # pyright: ignore[reportAttributeAccessIssue]
    outputs = ("label", "probabilities") if classes else (recipe.answer,)
    width = len(bunch.target_names) if classes else 1
    model = export(recipe.estimator, recipe.name, recipe.input, rows.shape[1], outputs, width)
    names = recipe.labels or (tuple(map(str, bunch.target_names)) if classes else ())
    return Trained(
        name=recipe.name,
        owner=recipe.owner,
        tags={"framework": "scikit-learn"},
        steps=(Step(name=recipe.name, model=model),),
        inputs={recipe.input: rows},
        truth=truth,
        labels=names,
        answer=recipe.answer,
        metric="accuracy" if classes else "r2",
    )


def export(
    estimator: BaseEstimator,
    name: str,
    input_name: str,
    features: int,
    outputs: Sequence[str],
    width: int,
) -> onnx.ModelProto:
    """An ONNX model of a fitted estimator, with the names and shapes that its config.pbtxt will declare.

    Args:
        estimator: Fitted on float32 rows.
        name: The graph's name.
        input_name: The input tensor, FP32 [batch, features].
        features: Columns of a row.
        outputs: Names for the estimator's outputs, in skl2onnx's order (label, probabilities).
        width: Columns of the last output: the classes, or 1 of a regression.
    """
    classifiers = {id(step): {"zipmap": False} for step in _steps(estimator) if is_classifier(step)}
    model = to_onnx(
        estimator,
        name=name,
        initial_types=[(input_name, FloatTensorType([None, features]))],  # pyright: ignore[reportArgumentType]
        options=classifiers,
        target_opset=OPSETS,
    )
    assert isinstance(model, onnx.ModelProto)
    model.ir_version = IR_VERSION
    rename(model, {old.name: new for old, new in zip(model.graph.output, outputs, strict=True)})
    for value, axes in zip(model.graph.output, ([], [width])[-len(outputs) :], strict=True):
        shape = value.type.tensor_type.shape
        shape.Clear()
        shape.dim.add(dim_param="batch")
        for axis in axes:
            shape.dim.add(dim_value=axis)
    return model


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors throughout a graph, in place."""
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)


def _steps(estimator: BaseEstimator) -> list[NDArray[Any] | BaseEstimator]:
    return [step for _, step in getattr(estimator, "steps", [("", estimator)])]
