"""As `client_latency`, on Vertex AI: the client's rawPredict against a bare HTTP POST of the same bytes."""

from __future__ import annotations

import os

from bench.client_latency import MODEL, bare_post, medians, tell
from bench.local_stack import cohost, project
from cohost.client import Predictor, smoke
from cohost.client.google_auth import GoogleAuthorization
from cohost.client.tensors import encode
from cohost.client.vertex import CONTENT_TYPE, REDIRECT
from cohost.tokens import VERTEX_ENDPOINT_OVERRIDE


def main() -> None:
    """Measures and prints."""
    with project() as root:
        cohost(root, "local", "up", "gcp")
        os.environ.update(cohost(root, "local", "env", "gcp"))
        outputs = cohost(root, "local", "output", "gcp")
        test = smoke.load(root / "model_artifacts" / MODEL / smoke.FILE)
        with Predictor.from_outputs(outputs) as predictor:
            ours, bare = measure(predictor, outputs["endpoint"], test)
    tell("Vertex AI", ours, bare)


def measure(predictor: Predictor, endpoint: str, test: smoke.SmokeTest) -> tuple[float, float]:
    """Median seconds of a call by the client, and of a bare POST of what it sends."""
    inputs = test.inputs()
    body, size = encode(inputs)
    headers = {"Content-Type": f"{CONTENT_TYPE}{size}", REDIRECT: f"v2/models/{MODEL}/infer"}
    authorized = {**headers, **GoogleAuthorization().headers()}
    bare = bare_post(os.environ[VERTEX_ENDPOINT_OVERRIDE], f"/v1/{endpoint}:rawPredict", body, authorized)
    return medians(lambda: predictor.infer(MODEL, inputs), bare)


if __name__ == "__main__":
    main()
