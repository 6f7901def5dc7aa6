from __future__ import annotations

import re
import subprocess
import sys

import yaml

from tests.documents import ROOT

CONFIG = ROOT / ".pre-commit-config.yaml"
CHECKS = ROOT / ".github/workflows/checks.yml"


def test_pre_commit_takes_the_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_are_the_checks_of_pull_requests() -> None:
    hooks = [hook for repo in yaml.safe_load(CONFIG.read_text())["repos"] for hook in repo["hooks"]]
    jobs = yaml.safe_load(CHECKS.read_text())["jobs"].values()
    commands = [step.get("run", "") for job in jobs for step in job["steps"]]
    targets = {
        word for run in commands for words in re.findall(r"^make (.+)$", run, re.MULTILINE) for word in words.split()
    }
    assert {hook["entry"] for hook in hooks} == {f"make {target}" for target in targets}
    assert {hook["language"] for hook in hooks} == {"system"}, "another environment would have other versions"
