"""The program's process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from cohost.engine.deployment import Deployment
from cohost.engine.model import Stack
from cohost.engine.processes import Processes, forward

_RUNNER: Final = Path(__file__).with_name("runner.py")
_POLL_S: Final = 0.05
_LAST_WORDS_S: Final = 5.0


def run_program(stack: Stack, deployment: Deployment, processes: Processes, address: str, parallel: int) -> bool:
    """Runs the program to its end; whether it succeeded.

    Once the deployment has stopped, the program is given a moment to end by itself and is then ended.
    """
    settings = {
        "monitor": address,
        "engine": address,
        "project": stack.project,
        "stack": stack.name,
        "organization": stack.organization,
        "root_directory": str(stack.root.resolve()),
        "parallel": parallel,
        "dry_run": deployment.preview,
    }
    environment = {
        **stack.environment,
        "PULUMI_CONFIG": json.dumps(dict(stack.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(stack.secret_keys)),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-P", str(_RUNNER), json.dumps(settings)]
    process = processes.start(command, cwd=stack.root, env=environment)
    report = deployment.report
    outputs = [
        forward(process.stdout, lambda line: report.log("info", line)),
        forward(process.stderr, lambda line: report.log("info", line)),
    ]
    code = _wait(process, deployment)
    if code is None:
        processes.end(process)
    for thread in outputs:
        thread.join(_LAST_WORDS_S)
    if code not in (0, None) and not report.errors:
        report.error(f"the program ended with exit code {code}", report.root)
    return code == 0


def _wait(process: subprocess.Popen[str], deployment: Deployment) -> int | None:
    while not deployment.stop.is_set():
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
    deployment.drain()
    try:
        return process.wait(_LAST_WORDS_S)
    except subprocess.TimeoutExpired:
        return None
