"""`handwriting`: a digit from its raw image, in two steps that Triton runs as one ensemble.

The first turns the 8-bit image into the principal components of the training images, the second classifies
them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from .folder import Step, Trained
from .tabular import IR_VERSION, OPSETS, export

NAME = "handwriting"
COMPONENTS = 24


def train() -> Trained:
    """Fit both steps on three quarters of the images and keep the others."""
    digits: Any = load_digits()
    images, truth = np.asarray(digits.images, np.uint8), np.asarray(digits.target)
    split = train_test_split(images, truth, test_size=0.25, random_state=0, stratify=truth)
    fit_images, images, fit_truth, truth = map(np.asarray, split)
    flat = fit_images.reshape(len(fit_images), -1).astype(np.float32)
    pca = PCA(COMPONENTS, whiten=True, random_state=0).fit(flat)
    network = MLPClassifier(hidden_layer_sizes=(48,), max_iter=1000, random_state=0)
    network.fit(pca.transform(flat).astype(np.float32), fit_truth)
    classifier = export(network, f"{NAME}-classifier", "components", COMPONENTS, ("label", "probabilities"), 10)
    return Trained(
        name=NAME,
        owner="vision-team",
        tags={"framework": "scikit-learn", "layout": "ensemble"},
        steps=(
            Step(name=f"{NAME}-components", model=_components(pca, images.shape[1:])),
            Step(name=f"{NAME}-classifier", model=classifier),
        ),
        inputs={"image": images},
        truth=truth,
        labels=tuple(map(str, digits.target_names)),
        answer="label",
        metric="accuracy",
    )


def _components(pca: PCA, image: tuple[int, ...]) -> onnx.ModelProto:
    """The graph image UINT8 [batch, height, width] -> components FP32 [batch, COMPONENTS]."""
    whitened = np.asarray(pca.components_).T / np.sqrt(pca.explained_variance_)
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        node("Flatten", ["float"], ["flat"]),
        node("Sub", ["flat", "mean"], ["centred"]),
        node("MatMul", ["centred", "whitened"], ["components"]),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        f"{NAME}-components",
        [tensor("image", TensorProto.UINT8, ["batch", *image])],
        [tensor("components", TensorProto.FLOAT, ["batch", COMPONENTS])],
        [
            numpy_helper.from_array(pca.mean_.astype(np.float32), "mean"),
            numpy_helper.from_array(whitened.astype(np.float32), "whitened"),
        ],
    )
    opsets = [helper.make_opsetid("", OPSETS[""])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="scripts.train")
