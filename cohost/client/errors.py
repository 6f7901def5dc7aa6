"""Why a prediction failed."""

from __future__ import annotations

from enum import Enum

from cohost.errors import CohostError


class Retry(Enum):
    """What to do about an error before the caller hears of it."""

    NEVER = "never"
    BRIEFLY = "briefly"
    UNTIL_DEADLINE = "until the deadline"


class PredictionError(CohostError):
    """A prediction failed; the message holds the platform's own words.

    Attributes:
        retry: Whether the same call may succeed later.
        deployed_model: The id of the deployed model that failed; "" where there is none, or the platform does not tell.
    """

    def __init__(self, message: str, *, retry: Retry = Retry.NEVER, deployed_model: str = "") -> None:
        super().__init__(message)
        self.retry = retry
        self.deployed_model = deployed_model


class UnknownModel(PredictionError):
    """No model of this name, or none at this version, is served."""


class ModelNotReady(PredictionError):
    """The model was still being downloaded or loaded when the deadline came."""


class BadInput(PredictionError):
    """The model does not take these inputs; the message names what it expects."""


class Throttled(PredictionError):
    """The platform was still limiting the rate of calls when the deadline came."""


class AccessDenied(PredictionError):
    """The credentials are missing, expired, or may not call this model."""


class ServerError(PredictionError):
    """The model, its server or the platform failed, or no answer came in time."""
