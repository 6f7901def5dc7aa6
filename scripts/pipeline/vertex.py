"""Runs the training steps on Vertex AI Pipelines: `python -m scripts.pipeline.vertex STACK --image ADDRESS …`.

`vertex.yaml` is the pipeline as Vertex AI takes it (a `PipelineSpec` of Kubeflow Pipelines); its image is a placeholder
that this command fills in. `--write` writes the file anew. pulumi-gcp 10.2.0 has no resource for a run, and a run is
no resource: it happens, once. Never run on a project.

Sources: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto, and what its compiler 2.17.3 makes of container
components; Vertex AI reference, projects.locations.pipelineJobs, create.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from cohost.cli.deployed import connect
from cohost.errors import InputError, Problem
from cohost.provider.google import Google
from cohost.training_steps import Step, steps
from scripts.pipeline.command import ending

FILE: Final = Path(__file__).with_name("vertex.yaml")
IMAGE: Final = "IMAGE"
NAME: Final = "cohost-training"
_ARTIFACT: Final = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
_PARAMETERS: Final = {"model": "STRING", "floor": "NUMBER_DOUBLE", "store": "STRING"}


def spec(image: str = IMAGE) -> dict[str, Any]:
    """Returns the pipeline's specification, as JSON would have it.

    Args:
        image: The image of the steps.
    """
    every = steps(
        read=lambda step, name: f"{{{{$.inputs.artifacts['{_key(step, name)}'].path}}}}",
        write=lambda name: f"{{{{$.outputs.artifacts['{_identifier(name)}'].path}}}}",
        **{name: f"{{{{$.inputs.parameters['{name}']}}}}" for name in _PARAMETERS},
    )
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.3",
        "pipelineInfo": {"name": NAME},
        "root": {
            "inputDefinitions": {"parameters": {name: _parameter(name) for name in _PARAMETERS}},
            "dag": {"tasks": {step.name.lower(): _task(step) for step in every}},
        },
        "components": {f"comp-{step.name.lower()}": _component(step) for step in every},
        "deploymentSpec": {
            "executors": {
                f"exec-{step.name.lower()}": {
                    "container": {
                        "image": image,
                        "command": ["python", "-m", step.module],
                        "args": list(step.arguments),
                    }
                }
                for step in every
            }
        },
    }


def job(specification: Mapping[str, Any], *, outputs: Mapping[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Returns the body of the call that starts a run.

    Args:
        specification: As of `spec`.
        outputs: The stack's, of which `store` is needed.
        given: The command line.
    """
    return {
        "displayName": f"{NAME}-{given.model}",
        "serviceAccount": given.service_account,
        "pipelineSpec": dict(specification),
        "runtimeConfig": {
            "gcsOutputDirectory": f"{outputs['store']}/pipelines",
            "parameterValues": {"model": given.model, "floor": given.floor, "store": outputs["store"]},
            # A step that fails, as the evaluation does below the floor, ends the run.
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        },
    }


def parent(endpoint: str) -> str:
    """Returns where runs of a stack belong: project and region of its endpoint's full name.

    Raises:
        InputError: It is not an endpoint of Vertex AI.
    """
    place, found, _ = endpoint.partition("/endpoints/")
    if not found:
        raise InputError(
            [Problem("", "STACK", "is not a stack on GCP; one on AWS has its own pipeline, see docs/stacks")]
        )
    return place


def _task(step: Step) -> dict[str, Any]:
    name = step.name.lower()
    artifacts = {
        _key(source, handed): {
            "taskOutputArtifact": {"producerTask": source.lower(), "outputArtifactKey": _identifier(handed)}
        }
        for source, handed in step.reads
    }
    before = sorted({source.lower() for source, _ in step.reads})
    return {
        "taskInfo": {"name": name},
        "componentRef": {"name": f"comp-{name}"},
        # A run is asked for because something has changed that Vertex AI cannot see: the image's data, the store.
        "cachingOptions": {},
        **({"dependentTasks": before} if before else {}),
        "inputs": {
            "parameters": {each: {"componentInputParameter": each} for each in _used(step)},
            **({"artifacts": artifacts} if artifacts else {}),
        },
    }


def _component(step: Step) -> dict[str, Any]:
    artifacts = {_key(source, handed): _ARTIFACT for source, handed in step.reads}
    return {
        "executorLabel": f"exec-{step.name.lower()}",
        "inputDefinitions": {
            "parameters": {each: _parameter(each) for each in _used(step)},
            **({"artifacts": artifacts} if artifacts else {}),
        },
        "outputDefinitions": {"artifacts": {_identifier(name): _ARTIFACT for name in step.writes}},
    }


def _used(step: Step) -> list[str]:
    """The pipeline's parameters that a step's command line names."""
    line = " ".join(step.arguments)
    return [name for name in _PARAMETERS if f"parameters['{name}']" in line]


def _parameter(name: str) -> dict[str, str]:
    return {"parameterType": _PARAMETERS[name]}


def _key(step: str, name: str) -> str:
    return _identifier(f"{step.lower()}_{name}")


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def written() -> str:
    """Returns the text of `vertex.yaml`."""
    text = yaml.dump(spec(), Dumper=_Plain, sort_keys=False, width=120)
    return f"# python -m scripts.pipeline.vertex --write\n{text}"


class _Plain(yaml.SafeDumper):
    """Writes everything out: a reader looks for no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Starts a run of the training steps on Vertex AI Pipelines.")
    parser.add_argument("stack", nargs="?", metavar="STACK", help="the stack whose store the model goes to")
    parser.add_argument("--image", metavar="ADDRESS", help="the image of the steps, by digest")
    parser.add_argument("--service-account", metavar="EMAIL", help="as whom the steps run; it writes the store")
    parser.add_argument("--model", default="digits", help="the model's name in the catalog (default: digits)")
    parser.add_argument("--floor", type=float, default=0.9, help="the least value of its metric (default: 0.9)")
    parser.add_argument("--local", action="store_true", help="a stack on this machine's emulators; with --print")
    parser.add_argument("--print", action="store_true", help="print what would be sent, and send nothing")
    parser.add_argument("--write", action="store_true", help="write vertex.yaml anew, and do nothing else")
    parser.add_argument("-C", dest="root", type=Path, default=Path(), metavar="DIR", help="the project's folder")
    given = parser.parse_args()
    return ending(lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    if given.write:
        FILE.write_text(written(), encoding="utf-8", newline="\n")
        return
    needed = {"STACK": given.stack, "--image": given.image, "--service-account": given.service_account}
    missing = [Problem("", name, "is missing") for name, value in needed.items() if not value]
    if given.local and not given.print:
        missing.append(Problem("", "--local", "needs --print: the local cloud runs no pipelines"))
    if missing:
        raise InputError(missing)
    outputs = connect(given).outputs
    where = parent(outputs["endpoint"])
    body = job(spec(given.image), outputs=outputs, given=given)
    if given.print:
        print(json.dumps(body, indent=2))
        return
    answer = Google().clients(outputs["region"]).post(f"{where}/pipelineJobs", body)
    print(answer["name"])


if __name__ == "__main__":
    sys.exit(main())
