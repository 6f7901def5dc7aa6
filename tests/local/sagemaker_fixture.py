"""The SageMaker emulator as a process beside that of the other services, an account with models in it, and callers."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from cohost import archive, policies_aws
from cohost.client import smoke
from cohost.local import daemons

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = CHECKOUT / "model_artifacts"
REGION: Final = "us-east-1"
BUCKET: Final = "models-of-tests"
PREFIX: Final = f"s3://{BUCKET}/models/"
IMAGE: Final = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/sagemaker-tritonserver:26.05-py3"
VARIANT: Final = "AllTraffic"
_MARK: Final = "COHOST_TEST_EMULATOR"
_PLACE: Final = policies_aws.Place(partition="aws", region=REGION, account="123456789012")


class Account:
    """Two emulator processes with one state folder, and plain boto3 clients that the environment points at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.aws = self._start("aws", 0)
        self.sagemaker = self._start("sagemaker", 0)
        self._clients: dict[str, Any] = {}

    def environment(self) -> dict[str, str]:
        credentials = json.loads((self.folder / "credentials.json").read_text())
        return {
            "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.sagemaker.url,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.sagemaker.url,
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS": self.sagemaker.url,
            "AWS_ACCESS_KEY_ID": credentials["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": credentials["secret_access_key"],
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def client(self, service: str) -> Any:
        if service not in self._clients:
            config = Config(read_timeout=70, retries={"max_attempts": 0}, max_pool_connections=20)
            self._clients[service] = boto3.client(service, config=config)  # type: ignore[call-overload]
        return self._clients[service]

    @property
    def control(self) -> Any:
        return self.client("sagemaker")

    def ask(self, path: str) -> Any:
        """What the emulator says about itself."""
        with urllib.request.urlopen(f"{self.sagemaker.url}{path}", timeout=30) as answer:
            return json.load(answer)

    def models(self, endpoint: str) -> list[dict[str, Any]]:
        return self.ask(f"/-/models?endpoint={endpoint}")

    def limit(self, **tables: dict[str, int]) -> None:
        """Sets the account's limits; without any the cloud's are in force."""
        partial = self.folder / "limits.partial"
        partial.write_text(json.dumps(tables))
        partial.replace(self.folder / "limits.json")

    def processes(self) -> list[daemons.Process]:
        """Every live process that the SageMaker emulator was or started."""
        return daemons.with_variable(_MARK, f"sagemaker-{self.mark}")

    def restart(self) -> None:
        """Kills the SageMaker emulator where it stands, and starts it again on the same port and state."""
        self.sagemaker.process.kill()
        self.sagemaker.process.wait()
        self.start()

    def stop(self) -> None:
        """Ends the SageMaker emulator in good order."""
        self.sagemaker.process.send_signal(signal.SIGTERM)
        assert self.sagemaker.process.wait(30) == 0

    def start(self) -> None:
        """Starts the SageMaker emulator again on the same port and state."""
        self.sagemaker = self._start("sagemaker", self.sagemaker.port)

    def kill_triton(self) -> None:
        """Kills every process of the instances, but not the emulator."""
        for process in self.processes():
            if process.pid != self.sagemaker.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    def role(self, name: str, *, reads: bool = True) -> str:
        """An execution role as a stack makes it; on request without the right to read artifacts."""
        document = policies_aws.execution(
            _PLACE,
            bucket_arn=f"arn:aws:s3:::{BUCKET}",
            key_arn=_PLACE.arn("kms", "key/any"),
            endpoint="any",
            image_uri=IMAGE,
            alarms=["any"],
            vpc=None,
        )
        kept = [each for each in document["Statement"] if reads or each["Action"] != ["s3:GetObject"]]
        trust = policies_aws.to_json(policies_aws.sagemaker_trust(_PLACE))
        iam = self.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        policy = policies_aws.to_json({**document, "Statement": kept})
        iam.put_role_policy(RoleName=name, PolicyName="serving", PolicyDocument=policy)
        return arn

    def upload(self, name: str, key: str | None = None) -> str:
        """Puts a model of the catalog into the store; returns its TargetModel."""
        packed = io.BytesIO()
        digest = archive.pack(MODELS / name, name, packed)
        return self.put(packed.getvalue(), key or f"{name}/{digest}.tar.gz")

    def put(self, data: bytes, target: str) -> str:
        self.client("s3").put_object(Bucket=BUCKET, Key=f"models/{target}", Body=data)
        return target

    def config(self, name: str, *, role: str, instance_type: str, count: int = 1, image: str = IMAGE) -> str:
        """Declares a model and an endpoint configuration of the same name."""
        self.control.create_model(
            ModelName=name,
            ExecutionRoleArn=role,
            PrimaryContainer={"Image": image, "Mode": "MultiModel", "ModelDataUrl": PREFIX},
        )
        self.control.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": VARIANT,
                    "ModelName": name,
                    "InstanceType": instance_type,
                    "InitialInstanceCount": count,
                }
            ],
        )
        return name

    def endpoint(self, name: str, config: str, **more: Any) -> None:
        """Creates an endpoint and waits until it is in service."""
        self.control.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        found = self.settled(name)
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")

    def describe(self, name: str) -> dict[str, Any]:
        return self.control.describe_endpoint(EndpointName=name)

    def settled(self, name: str) -> dict[str, Any]:
        """What becomes of an endpoint."""
        return until(lambda: self.describe(name), lambda found: found["EndpointStatus"] in ("InService", "Failed"))

    def remove(self, name: str) -> None:
        """Deletes an endpoint and waits until it is gone."""
        self.control.delete_endpoint(EndpointName=name)
        until(lambda: self.control.list_endpoints(NameContains=name)["Endpoints"], lambda found: not found)

    def scaling(self, endpoint: str) -> dict[str, str]:
        """Lets an endpoint scale from 1 to 2 instances; returns what names the scalable target."""
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        self.client("application-autoscaling").register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
        return target

    def invoke(self, endpoint: str, target: str, body: bytes, kind: str = "application/json") -> dict[str, Any]:
        return self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, TargetModel=target, Body=body, ContentType=kind
        )

    def close(self) -> None:
        for emulator in (self.sagemaker, self.aws):
            emulator.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                emulator.process.wait(30)
            emulator.process.kill()
            emulator.process.wait()

    def _start(self, name: str, port: int) -> Emulator:
        command = [sys.executable, "-m", f"cohost.local.{name}", "--state", str(self.folder), "--port", str(port)]
        if name == "sagemaker":
            command += ["--aws-url", self.aws.url]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        return Emulator(command, {**environment, _MARK: f"{name}-{self.mark}"}, self.folder / f"{name}.log")


class Emulator:
    """One running emulator."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, log.read_text()
        self.port = int(json.loads(line)["port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(folder: Path) -> Iterator[Account]:
    """An account with a bucket, and the environment pointed at it."""
    account = Account(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials of an account before
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in account.environment().items():
                patch.setenv(name, value)
            account.client("s3").create_bucket(Bucket=BUCKET)
            yield account
    finally:
        account.close()


def until(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """What is seen once it is good; how long that takes does not matter, only that it comes."""
    deadline = time.monotonic() + 20
    while True:
        found = look()
        if good(found):
            return found
        assert time.monotonic() < deadline, f"never came: {found}"
        time.sleep(0.05)


def request_of(name: str) -> bytes:
    return json.dumps(json.loads((MODELS / name / smoke.FILE).read_text())["request"]).encode()


class Caller(threading.Thread):
    """Calls one model at a steady rate until told to stop."""

    def __init__(self, account: Account, endpoint: str, target: str) -> None:
        super().__init__(daemon=True)
        self._account, self._endpoint, self._target = account, endpoint, target
        self._over = threading.Event()
        self.answers = 0
        self.errors: list[Exception] = []

    def run(self) -> None:
        body = request_of("iris")
        while not self._over.wait(0.02):
            try:
                self._account.invoke(self._endpoint, self._target, body)["Body"].read()
                self.answers += 1
            except Exception as error:
                self.errors.append(error)

    def stop(self) -> None:
        before = self.answers
        until(lambda: self.answers > before or bool(self.errors), bool)
        self._over.set()
        self.join()


def archive_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def watching(name: str, *, seconds: int) -> dict[str, Any]:
    """A DeploymentConfig with one alarm."""
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": seconds}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]},
    }


def alarm(account: Account, name: str, state: str) -> None:
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.05,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="test")


def await_baking(account: Account, endpoint: str) -> None:
    """Waits until the new fleet has the traffic and its alarms are watched."""

    def stage(found: dict[str, Any]) -> str:
        pending = found.get("PendingDeploymentSummary", {"ProductionVariants": [{}]})
        return pending["ProductionVariants"][0].get("VariantStatus", [{"Status": ""}])[0]["Status"]

    found = until(
        lambda: account.describe(endpoint),
        lambda found: found["EndpointStatus"] != "Updating" or stage(found) == "Baking",
    )
    assert stage(found) == "Baking", found


def log_lines(account: Account, endpoint: str, text: str) -> list[str]:
    logs = account.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events if text in event["message"]]


def metric(account: Account, endpoint: str, name: str, namespace: str = "AWS/SageMaker") -> float:
    """The sum of all that was sent."""
    now = datetime.now(UTC)
    found = account.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in found["Datapoints"])
