"""A model folder from an ONNX file: what `cohost add` does. May import the domain and `cohost.client`."""

from __future__ import annotations

from cohost.add.place import Added, add

__all__ = ["Added", "add"]
