"""Call a model of the local stack with nothing but Google's own libraries.

Run it with the variables of `cohost local env STACK` set; COHOST_STACK names the stack (default gcp).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import google.auth
from google.auth.transport.requests import AuthorizedSession

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Ask the digits model its smoke test and print the answer."""
    stack = os.environ.get("COHOST_STACK", "gcp")
    command = [sys.executable, "-m", "cohost.cli", "local", "output", stack, "--json"]
    outputs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    region = f"https://{outputs['region']}-aiplatform.googleapis.com"
    url = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM", region).rstrip("/")
    smoke = json.loads((ROOT / "model_artifacts" / "digits" / "smoke.json").read_text())
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    answer = AuthorizedSession(credentials).post(
        f"{url}/v1/{outputs['endpoint']}:rawPredict",
        json=smoke["request"],
        headers={"X-Vertex-Ai-Triton-Redirect": "v2/models/digits/infer"},
    )
    answer.raise_for_status()
    print(json.dumps(answer.json(), indent=1))


if __name__ == "__main__":
    main()
