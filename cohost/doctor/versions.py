"""What runs here: Python, the packages, and the `pulumi` command with what it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import yaml
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from cohost.doctor.check import Finding, Step, failed, ok, warning
from cohost.doctor.subject import Subject
from cohost.errors import CohostError

# The oldest one that this release has been tried with (docs/decisions, tests/engine).
OLDEST_PULUMI: Final = Version("3.260.0")
_PACKAGE: Final = "cohost"
_INSTALL: Final = "https://www.pulumi.com/docs/install/"
_SECONDS: Final = 20


def steps(subject: Subject, cloud_package: str) -> tuple[Step, ...]:
    """Returns the checks of versions.

    Args:
        subject: The stack.
        cloud_package: The Pulumi package of its cloud: "pulumi-aws".
    """
    extras = ("", "local") if subject.local else ("",)
    found = (
        Step("python", lambda: python(metadata.metadata(_PACKAGE)["Requires-Python"])),
        Step("packages", lambda: packages(metadata.requires(_PACKAGE) or (), extras)),
    )
    if not subject.needs_pulumi:
        return found
    return (
        *found,
        Step("pulumi", pulumi),
        Step("uv", lambda: uv(subject.root)),
        Step("plugin", lambda: plugin(cloud_package), needs=("pulumi",)),
    )


def python(wanted: str) -> Finding:
    """Looks at the Python that runs this.

    Args:
        wanted: As in pyproject.toml's requires-python.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    if Requirement(f"python{wanted}").specifier.contains(version):
        return ok(f"Python {version}")
    return failed(f"Python {version}, and {wanted} is needed", "make PYTHON=/path/to/python3.12 install")


def packages(requirements: Iterable[str], extras: Iterable[str]) -> Finding:
    """Looks at the installed packages.

    Args:
        requirements: As in the installed package's metadata.
        extras: The extras to look at; "" for what every installation has.
    """
    wanted = list(_wanted(requirements, tuple(extras)))
    wrong = [fault for fault in map(_fault, wanted) if fault]
    if wrong:
        return failed("\n".join(wrong), "make install")
    return ok(f"all {len(wanted)} packages of pyproject.toml are there")


def _wanted(requirements: Iterable[str], extras: tuple[str, ...]) -> Iterator[Requirement]:
    for text in requirements:
        found = Requirement(text)
        if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in extras):
            yield found


def _fault(wanted: Requirement) -> str:
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return f"{wanted.name}{wanted.specifier} is not installed"
    if wanted.specifier.contains(version, prereleases=True):
        return ""
    return f"{wanted.name} is {version}, and {wanted.specifier} is needed"


def pulumi() -> Finding:
    """Looks at the `pulumi` command."""
    if not shutil.which("pulumi"):
        return failed("the `pulumi` command is not in PATH", f"install it: {_INSTALL}")
    said = _ask("version").strip()
    try:
        version = Version(said.removeprefix("v"))
    except InvalidVersion:
        return warning(f"`pulumi version` says {said!r}", "see whether this is the command that you mean")
    if version < OLDEST_PULUMI:
        return warning(f"pulumi {version}; this release is tried with {OLDEST_PULUMI} and later", f"update: {_INSTALL}")
    return ok(f"pulumi {version}")


def uv(root: Path) -> Finding:
    """Looks at the tool that Pulumi.yaml lets `pulumi` prepare the program's environment with."""
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    runtime = project.get("runtime")
    options = runtime.get("options", {}) if isinstance(runtime, dict) else {}
    if options.get("toolchain") != "uv":
        return ok("Pulumi.yaml does not ask for uv")
    found = shutil.which("uv")
    if found:
        return ok(found)
    remedy = 'export PATH="$PWD/.uv/bin:$PATH"' if (root / ".uv/bin/uv").exists() else "make install, then see again"
    return failed("Pulumi.yaml asks for uv, which is not in PATH", remedy)


def plugin(package: str) -> Finding:
    """Looks at the plugin of the cloud's provider, which must be of the package's version."""
    name, version = package.removeprefix("pulumi-"), metadata.version(package)
    installed = {
        each["version"] for each in json.loads(_ask("plugin", "ls", "--json") or "[]") if each.get("name") == name
    }
    if version in installed:
        return ok(f"{name} {version}")
    return warning(
        f"the plugin {name} {version} is not installed; the first `pulumi preview` downloads it",
        f"where there is no internet: pulumi plugin install resource {name} {version} --file <archive>",
    )


def _ask(*arguments: str) -> str:
    command = " ".join(["pulumi", *arguments])
    try:
        done = subprocess.run(["pulumi", *arguments], capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CohostError(f"`{command}`: {error}") from error
    if done.returncode:
        raise CohostError(f"`{command}`: {done.stderr.strip().removeprefix('error: ')}")
    return done.stdout
