"""The client's median latency on SageMaker, against a bare HTTP POST of the same bytes to the same place.

Both take turns of 50 calls on the same endpoint of the local cloud, each on one kept-alive connection: a caller calls
again and again too, and single calls in turn would measure what each does to the other's processor cache.
"""

from __future__ import annotations

import os
import statistics
import urllib.parse
from collections.abc import Callable, Mapping

import urllib3

from bench import report
from bench.local_stack import cohost, project
from cohost.client import Predictor, smoke
from cohost.client.sagemaker import CONTENT_TYPE
from cohost.client.signing import AwsRuntime
from cohost.client.tensors import encode

MODEL = "digits"
TURNS = 60
TURN = 50
WANTED = 1.1


def main() -> None:
    """Measures and prints."""
    with project() as root:
        cohost(root, "local", "up", "aws")
        os.environ.update(cohost(root, "local", "env", "aws"))
        outputs = cohost(root, "local", "output", "aws")
        test = smoke.load(root / "model_artifacts" / MODEL / smoke.FILE)
        with Predictor.from_outputs(outputs) as predictor:
            ours, bare = measure(predictor, outputs, test)
    tell("SageMaker", ours, bare)


def tell(platform: str, ours: float, bare: float) -> None:
    """Prints the two medians on a platform and ends the script."""
    print(report.machine())
    ratio = ours / bare
    measured, alternative = f"{ours * 1e3:.3f} ms", f"a bare POST of the same bytes {bare * 1e3:.3f} ms"
    good = ratio <= WANTED
    report.finish(
        report.line(f"client p50 on {platform}, {MODEL}", measured, alternative, ratio, f"<= {WANTED:g}", good=good)
    )


def measure(predictor: Predictor, outputs: dict[str, str], test: smoke.SmokeTest) -> tuple[float, float]:
    """Median seconds of a call by the client, and of a bare POST of what it sends."""
    inputs = test.inputs()
    body, size = encode(inputs)
    target = f"{MODEL}/{predictor.models()[MODEL]}.tar.gz"
    runtime = AwsRuntime(outputs["region"])
    path = f"/endpoints/{outputs['endpoint']}/invocations"
    headers = {"Content-Type": f"{CONTENT_TYPE}{size}", "X-Amzn-SageMaker-Target-Model": target}
    signed = runtime.sign("POST", path, body, headers)
    bare = bare_post(runtime.url, path, body, signed)
    return medians(lambda: predictor.infer(MODEL, inputs), bare)


def bare_post(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> Callable[[], None]:
    """A POST that must succeed, on one kept-alive connection."""
    where = urllib.parse.urlsplit(url)
    pool = urllib3.HTTPConnectionPool(str(where.hostname), where.port, maxsize=1)

    def post() -> None:
        answer = pool.urlopen("POST", path, body=body, headers=headers, retries=False)
        assert answer.status == 200, answer.data

    return post


def medians(ours: Callable[[], object], bare: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two actions that take turns."""
    for action in (bare, ours):
        for _ in range(100):
            action()
    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(TURNS):
        taken["ours"] += [report.seconds(ours) for _ in range(TURN)]
        taken["bare"] += [report.seconds(bare) for _ in range(TURN)]
    return statistics.median(taken["ours"]), statistics.median(taken["bare"])


if __name__ == "__main__":
    main()
