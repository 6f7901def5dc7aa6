"""The policy pack: starts its server, which the engine asks about each resource and about the stack as a whole."""

from __future__ import annotations

import sys
from pathlib import Path

# The folder above holds `cohost`, whose cost and fleet modules need nothing but the standard library.
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from pulumi_policy import PolicyPack  # noqa: E402

from rules import ALL  # noqa: E402
from rules.adapter import policy  # noqa: E402

PolicyPack("cohost", policies=[policy(rule) for rule in ALL])
