"""Call a model of the local stack with nothing but boto3.

Run it with the variables of `cohost local env STACK` set; COHOST_STACK names the stack (default aws).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Ask the digits model its smoke test and print the answer."""
    stack = os.environ.get("COHOST_STACK", "aws")
    command = [sys.executable, "-m", "cohost.cli", "local", "output", stack, "--json"]
    outputs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    bucket, _, prefix = outputs["store"].removeprefix("s3://").partition("/")
    key = "/".join(part for part in (prefix, "releases/current.json") if part)
    release = json.load(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"])
    smoke = json.loads((ROOT / "model_artifacts" / "digits" / "smoke.json").read_text())
    answer = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=outputs["endpoint"],
        TargetModel=release["models"]["digits"]["target"],
        ContentType="application/octet-stream",
        Body=json.dumps(smoke["request"]),
    )
    print(json.dumps(json.load(answer["Body"]), indent=1))


if __name__ == "__main__":
    main()
