"""One predictor for every model of a shared endpoint.

from cohost.client import Predictor

predictor = Predictor.from_outputs(outputs)
answer = predictor.infer("digits", {"pixels": pixels})["label"]
"""

from __future__ import annotations

from cohost.client.errors import (
    AccessDenied,
    BadInput,
    ModelNotReady,
    PredictionError,
    ServerError,
    Throttled,
    UnknownModel,
)
from cohost.client.predictor import Predictor
from cohost.client.sagemaker import SageMakerTransport
from cohost.client.transport import Transport
from cohost.client.triton import TritonTransport
from cohost.client.vertex import VertexTransport

__all__ = [
    "AccessDenied",
    "BadInput",
    "ModelNotReady",
    "PredictionError",
    "Predictor",
    "SageMakerTransport",
    "ServerError",
    "Throttled",
    "Transport",
    "TritonTransport",
    "UnknownModel",
    "VertexTransport",
]
