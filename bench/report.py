"""How a measurement is taken and printed."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def seconds(action: Callable[[], object]) -> float:
    """The wall time of one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def median_of_pairs(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median seconds of two actions that take turns, so that a busy moment of the machine meets both."""
    pairs = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def machine() -> str:
    """The machine's shape."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def line(what: str, measured: str, alternative: str, ratio: float, wanted: str, *, good: bool) -> bool:
    """Prints one result; returns whether it is as wanted."""
    print(
        f"{'ok  ' if good else 'MISS'}  {what}: {measured}; {alternative}; ratio {ratio:.2f} (wanted {wanted})",
        flush=True,
    )
    return good


def finish(*results: bool) -> None:
    """Ends the script: exit code 1 when a result is not as wanted."""
    sys.exit(0 if all(results) else 1)


def peak_mib() -> float:
    """The most memory this process has had, in MiB (Linux counts in KiB, macOS in bytes)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def shell(command: str, cwd: Path) -> None:
    """Runs a shell command that must succeed."""
    subprocess.run(command, shell=True, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
