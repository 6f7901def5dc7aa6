"""What the project itself says: settings and catalog."""

from __future__ import annotations

from cohost import catalog, settings
from cohost.digest_cache import DigestCache
from cohost.doctor.check import Finding, Step, failed, ok
from cohost.doctor.subject import Subject
from cohost.errors import InputError

SETTINGS = "settings"


def steps(subject: Subject) -> tuple[Step, ...]:
    """Returns the checks of settings and catalog, which ask nobody."""
    return (
        Step(SETTINGS, lambda: _settings(subject)),
        Step("catalog", lambda: _catalog(subject), needs=(SETTINGS,)),
    )


def _settings(subject: Subject) -> Finding:
    try:
        found = subject.settings()
    except InputError as error:
        return _wrong(error)
    return ok(f"Pulumi.{subject.stack}.yaml is a stack on {found.platform}")


def _catalog(subject: Subject) -> Finding:
    known = subject.settings()
    try:
        models = catalog.load(subject.root / known.catalog)
        problems = settings.preflight(known, models, cache=DigestCache.of_project(subject.root))
    except InputError as error:
        return _wrong(error)
    if problems:
        return _wrong(InputError(problems))
    return ok(f"{known.catalog} has {len(models.models)} models, and they fit")


def _wrong(error: InputError) -> Finding:
    return failed(str(error), "correct the lines above; docs/configuration.md describes every key")
