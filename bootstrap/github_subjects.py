"""Which jobs of a repository's workflows are trusted, as the subjects of their tokens.

Source: GitHub documentation, "OpenID Connect reference", "Example subject claims": a job that names an environment
carries that alone, one of a pull request only that it is one, any other its branch or tag. A pull request from a fork
gets no token, since its `GITHUB_TOKEN` cannot have `id-token: write`. Repositories made, renamed or moved after 15 July
2026 are named with numbers that are never given again, `acme@123456/models@456789` (GitHub changelog, 2026-04-23,
"Immutable subject claims"; the form and the day: github/docs, pull request 45221).
"""

from __future__ import annotations

from typing import Final

from place import Place

ISSUER: Final = "https://token.actions.githubusercontent.com"


def preview(place: Place) -> list[str]:
    """Returns who may look: every pull request of the repository itself, and what its branch runs by schedule."""
    return [f"{_repository(place)}:pull_request", f"{_repository(place)}:ref:refs/heads/{place.branch}"]


def deploy(place: Place) -> list[str]:
    """Returns who may deploy: jobs in an environment, whose rules (reviewers, branches) GitHub keeps."""
    return [f"{_repository(place)}:environment:{environment}" for environment in place.environments]


def _repository(place: Place) -> str:
    return f"repo:{place.subject or place.github}"
