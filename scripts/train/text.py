"""`subject`: what a passage of English is about, learnt from scikit-learn's descriptions of its data sets.

The whole model, from the text to the name of the subject, is one ONNX graph of standard operators, so that a
caller sends plain strings: split at spaces, look each word up, add up their weights (naive Bayes is linear).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import sklearn.datasets
from onnx import TensorProto, helper, numpy_helper
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import ComplementNB

from .folder import Step, Trained

NAME = "subject"
SUBJECTS = {
    "images": ("digits", "lfw", "olivetti_faces"),
    "medicine": ("breast_cancer", "diabetes", "linnerud"),
    "plants": ("covtype", "iris", "species_distributions", "wine_data"),
    "text": ("rcv1", "twenty_newsgroups"),
}
# StringSplit came with opset 20, which ONNX Runtime reads since 1.17 (Triton 24.02).
OPSETS = {"": 20, "ai.onnx.ml": 3}
IR_VERSION = 9

_PUNCTUATION = ".,;:!?()[]\"'"
_ENDINGS = ("", ".", ",", ":")


def train() -> Trained:
    """Fit naive Bayes on three quarters of the passages and keep the others."""
    passages, truth = zip(*_passages(), strict=True)
    fit_passages, passages, fit_truth, truth = train_test_split(
        passages, truth, test_size=0.25, random_state=0, stratify=truth
    )
    counter = CountVectorizer(tokenizer=_words, token_pattern=None, lowercase=False)  # pyright: ignore[reportArgumentType]
    bayes = ComplementNB(alpha=0.3).fit(counter.fit_transform(fit_passages), fit_truth)
    vocabulary = [str(word) for word in counter.get_feature_names_out()]
    model = _graph(vocabulary, np.asarray(bayes.feature_log_prob_, np.float32).T, list(bayes.classes_))
    return Trained(
        name=NAME,
        owner="docs-team",
        tags={"framework": "scikit-learn", "input": "text"},
        steps=(Step(name=NAME, model=model),),
        inputs={"text": np.array(passages, object).reshape(-1, 1)},
        truth=np.array(truth, object),
        labels=(),
        answer="subject",
        metric="accuracy",
    )


def _passages() -> Iterator[tuple[str, str]]:
    """(two sentences of a description, its subject)."""
    folder = Path(sklearn.datasets.__file__).parent / "descr"
    for subject, stems in SUBJECTS.items():
        for stem in stems:
            sentences = _sentences((folder / f"{stem}.rst").read_text(encoding="utf-8"))
            for start in range(0, len(sentences), 2):
                yield " ".join(sentences[start : start + 2]), subject


def _sentences(rst: str) -> list[str]:
    """The sentences of five words or more, without markup, code and addresses."""
    text = re.sub(r"^ *(>>>|\.\.\.|\.\.) .*$|https?://\S+|^ *array\(.*$", "", rst, flags=re.MULTILINE)
    text = re.sub(r":[a-z:]+:(?=`)", "", text)
    text = re.sub(r"`([^`<]*?)(?:\s*<[^>]*>)?`_*", r"\1", text)
    text = re.sub(r"[=*|+~`>-]{2,}|[*`|]", " ", text)
    parts = (" ".join(part.split()) for part in re.split(r"(?<=[.:])\s+|\n\s*\n", text))
    return [part for part in parts if len(re.findall(r"[A-Za-z]{2,}", part)) >= 5]


def _words(passage: str) -> list[str]:
    words = (word.strip(_PUNCTUATION).lower() for word in passage.split())
    return [word for word in words if re.fullmatch(r"[a-z][a-z-]+", word) and word not in ENGLISH_STOP_WORDS]


def _forms(word: str) -> Iterator[str]:
    """How a word may stand in a text; ONNX has no operator that lowers the case on every platform alike."""
    for case in (word, word.capitalize()):
        for ending in _ENDINGS:
            yield case + ending


def _graph(vocabulary: list[str], weights: np.ndarray, subjects: list[str]) -> onnx.ModelProto:
    """The graph text BYTES [batch, 1] -> subject BYTES [batch], scores FP32 [batch, subjects].

    Args:
        vocabulary: The known words.
        weights: FP32 [words, subjects].
        subjects: The names, in the order of the weights' columns.
    """
    forms = {form: number for number, word in enumerate(vocabulary, 1) for form in _forms(word)}
    # Row 0 stands for every unknown word and weighs nothing.
    table = np.vstack([np.zeros((1, len(subjects)), np.float32), weights])
    node = helper.make_node
    nodes = [
        node("StringSplit", ["text"], ["words", "counts"]),
        node(
            "LabelEncoder",
            ["words"],
            ["numbers"],
            domain="ai.onnx.ml",
            keys_strings=list(forms),
            values_int64s=list(forms.values()),
            default_int64=0,
        ),
        node("Gather", ["table", "numbers"], ["weights"]),
        node("ReduceSum", ["weights", "word_axes"], ["evidence"], keepdims=0),
        node("Softmax", ["evidence"], ["scores"], axis=-1),
        node("ArgMax", ["scores"], ["best"], axis=-1, keepdims=0),
        node("Gather", ["subjects", "best"], ["subject"]),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "word_axes"),
        numpy_helper.from_array(np.array(subjects, object), "subjects"),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        NAME,
        [tensor("text", TensorProto.STRING, ["batch", 1])],
        [
            tensor("subject", TensorProto.STRING, ["batch"]),
            tensor("scores", TensorProto.FLOAT, ["batch", len(subjects)]),
        ],
        constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="scripts.train")
