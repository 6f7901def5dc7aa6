"""The demonstration's story: the catalog's life on SageMaker, and the same catalog's on Vertex AI."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from cohost.client import Predictor
from cohost.engine import Operation
from cohost.errors import CohostError
from cohost.local import emulators
from scripts import demo_accounts, demo_calls
from scripts.demo_calls import Answer, call, call_and_show, every_model
from scripts.demo_steps import (
    CHANGED,
    LARGE_MIB,
    Failed,
    cohost,
    operate,
    prepare,
    preview_names_one_model,
    retrain,
    say,
    setting,
    start_early,
)

AWS: Final = "aws"
GCP: Final = "gcp"
# Room for the eight models of the catalog, and not for a ninth artifact.
MEMORY: Final = "ml.g5.xlarge=560MiB"


def tell() -> int:
    """Tells the whole story; 0 when everything was as promised, 1 when not."""
    try:
        prepare()
        aws_region, answers = on_sagemaker()
        gcp_region = on_vertex(answers)
        say("Remove everything, from both clouds")
        operate(AWS, Operation.DESTROY)
        demo_accounts.nothing_left_on_aws(aws_region)
        operate(GCP, Operation.DESTROY)
        demo_accounts.nothing_left_on_gcp(gcp_region)
    except (Failed, CohostError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0


def on_sagemaker() -> tuple[str, dict[str, Answer]]:
    """The story on SageMaker.

    Returns:
        The region, and what each model of the active release answers.
    """
    say(f"Deploy the catalog, with a model of {LARGE_MIB} MiB made just now, behind one SageMaker multi-model endpoint")
    cohost("local", "limit", "--memory", MEMORY)
    outputs = operate(AWS, Operation.UP).outputs
    say("Call every model with real input; what it answers stands beside the truth")
    with Predictor.from_outputs(outputs, interval=1) as predictor:
        before = predictor.models()[CHANGED]
        answers = {name: call_and_show(predictor, name) for name in every_model(predictor)}
        say(f"Train {CHANGED} again with other settings, and look what `up` would do")
        retrain(0.2)
        preview_names_one_model(AWS)
        say("One upload, a smoke test on the live endpoint, and the new version is active; the endpoint stays as it is")
        operate(AWS, Operation.UP)
        say("Both versions answer, old and new")
        answers[CHANGED] = demo_calls.old_and_new(predictor, before)
        say("The endpoint had room for eight: the model called the longest ago made way, until it is called again")
        start_early(emulators.GCP)
        cohost("local", "models", AWS)
        call_and_show(predictor, every_model(predictor)[0])
    return outputs["region"], answers


def on_vertex(answers: Mapping[str, Answer]) -> str:
    """The story on Vertex AI.

    Args:
        answers: What each model answers on SageMaker.

    Returns:
        The region.
    """
    say("The same catalog, as it is now, behind one Vertex AI endpoint")
    outputs = operate(GCP, Operation.UP).outputs
    say("The same calls, both clouds beside each other")
    with Predictor.from_outputs(outputs) as predictor:
        # The first call fetches a token, whatever the model.
        call(predictor, CHANGED)
        demo_calls.beside_each_other(answers, {name: call(predictor, name) for name in every_model(predictor)})
    say(f"Train {CHANGED} once more; this time the new release is to get 10 % of the calls first, beside the old one")
    retrain(0.02)
    with setting(GCP, "canary", {"weight": 10, "stable": outputs["release"]}):
        preview_names_one_model(GCP)
        operate(GCP, Operation.UP)
        say("Count whom the calls come to")
        demo_calls.canary_gets_its_share(outputs["endpoint"])
    say("Promote it: without the setting it gets every call, and the old one goes")
    operate(GCP, Operation.UP)
    demo_calls.all_come_to_one(outputs["endpoint"])
    return outputs["region"]
