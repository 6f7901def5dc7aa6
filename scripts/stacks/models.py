"""What the data of the stack templates looks like. The JSON schema in docs/stacks/schemas is made of these classes."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from scripts.comparison.models import Data, Name, Text

# The boxes of the MLOps Stack Canvas (ml-ops.org), in its order.
BOXES: Final = {
    "value-proposition": "Value proposition",
    "data-sources": "Data sources and data versioning",
    "experiments": "Data analysis and experiment management",
    "feature-store": "Feature store and workflows",
    "foundations": "Foundations",
    "orchestration": "Pipeline orchestration: CI, CT and CD",
    "registry": "Model registry and model versioning",
    "deployment": "Model deployment",
    "serving": "Prediction serving",
    "monitoring": "Model, data and system monitoring",
    "metadata": "Metadata store",
}
# The pages, in their order.
STACKS: Final = ("sagemaker", "vertex", "self-hosted")


class Share(StrEnum):
    """How much of a box this repository provisions."""

    WHOLE = "whole"
    PART = "part"
    OPTIONAL = "optional"
    NOTHING = "nothing"


class Here(Data):
    """What this repository provisions of a box.

    Attributes:
        share: How much of it.
        text: What it is.
        links: Where it is, by what it is called: paths from the root of the repository.
    """

    share: Share
    text: Text
    links: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _shown(self) -> Here:
        if self.share is not Share.NOTHING and not self.links:
            raise ValueError("must have links to what is provisioned")
        return self


class Box(Data):
    """One box of one stack.

    Attributes:
        component: What is chosen.
        why: Why that.
        alternative: What else would do, and when.
        here: What this repository provisions.
        remains: What remains to do.
        cost: What drives the cost.
        lock_in: What ties one to it, and the way out.
        sources: Where facts of this box were read.
    """

    component: Text
    why: Text
    alternative: Text
    here: Here
    remains: Text
    cost: Text
    lock_in: Text
    sources: tuple[Name, ...] = ()


class Stack(Data):
    """One page.

    Attributes:
        title: Its heading.
        about: What it is for, in a paragraph.
        tried: What has been run, and what has not.
        diagram: The drawing, in Mermaid.
        boxes: Every box of the canvas, by its name.
    """

    title: Text
    about: Text
    tried: Text
    diagram: Text
    boxes: dict[str, Box]

    @model_validator(mode="after")
    def _whole(self) -> Stack:
        if tuple(self.boxes) != tuple(BOXES):
            raise ValueError(f"boxes must be, in this order: {', '.join(BOXES)}")
        return self
