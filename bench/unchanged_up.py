"""`up` without change with 10,000 models in the ArtifactSet, against the same with 10; on each engine there is."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import boto3

from bench import report
from bench.local_stack import cohost, project
from cohost.local import clouds, emulators, session
from cohost.release import archive_key

COUNTS = (10, 10_000)
ROUNDS = 3
WANTED = 1.6
BUCKET = "bench-artifacts"
PROGRAM = '''"""One ArtifactSet, its models given."""

import json
from pathlib import Path

import pulumi

from cohost.resources import ArtifactSet

ArtifactSet(
    "models",
    region="eu-west-1",
    store=f"s3://{bucket}/{{pulumi.get_stack()}}",
    catalog=f"{{pulumi.get_stack()}}.yaml",
    models=json.loads(Path(f"{{pulumi.get_stack()}}.json").read_text()),
)
'''


def main() -> None:
    """Measures and prints."""
    engines = [engine for engine in session.Engine if engine is session.Engine.EMBEDDED or shutil.which("pulumi")]
    results = []
    with project() as root:
        prepare(root, engines)
        for engine in engines:
            few, many = (median(root, stack(engine, count)) for count in COUNTS)
            what = f"up without change, {COUNTS[1]:,} models in the ArtifactSet, {engine} engine"
            ratio, alternative = many / few, f"with {COUNTS[0]} models {few:.2f} s"
            good = ratio <= WANTED
            results.append(report.line(what, f"{many:.2f} s", alternative, ratio, f"<= {WANTED:g}", good=good))
    print(report.machine())
    report.finish(*results)


def stack(engine: session.Engine, count: int) -> str:
    """The name of one stack."""
    return f"{engine}-{count}"


def prepare(root: Path, engines: list[session.Engine]) -> None:
    """Deploys every stack once; the archives are put into the store beforehand, small ones of no meaning."""
    (root / "__main__.py").write_text(PROGRAM.format(bucket=BUCKET))
    for engine in engines:
        for count in COUNTS:
            name = stack(engine, count)
            settings = (root / "Pulumi.aws.yaml").read_text()
            (root / f"Pulumi.{name}.yaml").write_text(f"{settings}  shared-endpoint:catalog: {name}.yaml\n")
            models = {f"model-{number:05d}": f"{number:064x}" for number in range(count)}
            (root / f"{name}.json").write_text(json.dumps(models))
            (root / f"{name}.yaml").write_text(catalog(models))
            put(root, name, models)
            cohost(root, "local", "up", name, "--engine", engine)


def catalog(models: dict[str, str]) -> str:
    """A catalog whose models are artifacts in the store."""
    rows = [f"  - {{name: {name}, artifact: '{digest}', owner: bench}}\n" for name, digest in models.items()]
    return "models:\n" + "".join(rows)


def put(root: Path, prefix: str, models: dict[str, str]) -> None:
    """Stores an archive for each model."""
    emulators.start(root, emulators.AWS)
    variables = clouds.environment(root, emulators.AWS, {"aws:region": "eu-west-1"})
    client: Any = boto3.client(
        "s3",
        region_name="eu-west-1",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for name, digest in models.items():
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{archive_key(name, digest)}", Body=b"stored")


def median(root: Path, name: str) -> float:
    """Median seconds of `up`, as a user waits for it."""

    def up() -> None:
        summary = cohost(root, "local", "up", name)["summary"]
        assert summary["create"] == summary["update"] == 0, summary

    return statistics.median(report.seconds(up) for _ in range(ROUNDS))


if __name__ == "__main__":
    main()
