"""Catalogs of many small models."""

from __future__ import annotations

from pathlib import Path

import onnx

PATTERN = Path(__file__).resolve().parents[1] / "model_artifacts" / "iris"


def many(folder: Path, count: int) -> Path:
    """Makes a catalog of small real models that differ in their bytes; returns its catalog.yaml."""
    model = onnx.load(PATTERN / "1/model.onnx")
    config, smoke = (PATTERN / "config.pbtxt").read_text(), (PATTERN / "smoke.json").read_text()
    entries = ["models:\n"]
    for number in range(count):
        name = f"model-{number:05d}"
        model.doc_string = name
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1/model.onnx").write_bytes(model.SerializeToString())
        (folder / name / "config.pbtxt").write_text(config.replace('"iris"', f'"{name}"'))
        (folder / name / "smoke.json").write_text(smoke)
        entries.append(f"  - name: {name}\n    path: {name}\n    owner: some-team\n    tags: {{kind: small}}\n")
    catalog = folder / "catalog.yaml"
    catalog.write_text("".join(entries))
    return catalog
