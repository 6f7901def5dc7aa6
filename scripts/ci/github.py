"""The few calls to GitHub's REST API that the workflows need (https://docs.github.com/en/rest, version 2022-11-28).

Comments and issues are found again by a marker, a hidden comment in their text, among those that a bot wrote: what a
person pastes somewhere is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from cohost.errors import CohostError

_PAGE: Final = 100
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=30)
_RETRIES: Final = urllib3.Retry(total=4, backoff_factor=1, status_forcelist=(502, 503, 504))


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, as the variables of a workflow name it.

    Attributes:
        url: Address of its API.
        token: The workflow's token.
    """

    url: str
    token: str

    @classmethod
    def of_workflow(cls, environment: Mapping[str, str] = os.environ) -> Repository:
        """Returns the repository that the running workflow belongs to.

        Raises:
            CohostError: A variable that every workflow sets, or GITHUB_TOKEN, is missing.
        """
        names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
        missing = [name for name in names if not environment.get(name)]
        if missing:
            raise CohostError(f"{', '.join(missing)}: not set; this runs in a GitHub workflow")
        url, repository, token = (environment[name] for name in names)
        return cls(f"{url}/repos/{repository}", token)

    def comment(self, number: int, marker: str, text: str) -> None:
        """Makes the one comment with this marker say `text`, on a pull request or an issue."""
        for item in self._all(f"/issues/{number}/comments"):
            if _ours(item, marker):
                if item["body"] != text:
                    self._call("PATCH", f"/issues/comments/{item['id']}", {"body": text})
                return
        self._call("POST", f"/issues/{number}/comments", {"body": text})

    def issue(self, marker: str, title: str, text: str | None) -> None:
        """Makes the one open issue with this marker say `text`; closes it where there is nothing to say."""
        found = next((item for item in self._all("/issues?state=open") if _ours(item, marker)), None)
        if text is None:
            if found:
                self._call("PATCH", f"/issues/{found['number']}", {"state": "closed", "state_reason": "completed"})
        elif found is None:
            self._call("POST", "/issues", {"title": title, "body": text})
        elif (found["title"], found["body"]) != (title, text):
            self._call("PATCH", f"/issues/{found['number']}", {"title": title, "body": text})

    def _all(self, path: str) -> Iterator[Mapping[str, Any]]:
        page = 1
        while True:
            separator = "&" if "?" in path else "?"
            items = self._call("GET", f"{path}{separator}per_page={_PAGE}&page={page}")
            yield from items
            if len(items) < _PAGE:
                return
            page += 1

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "User-Agent": "cohost",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        answer = urllib3.request(
            method, f"{self.url}{path}", headers=headers, json=body, timeout=_TIMEOUT, retries=_RETRIES
        )
        if answer.status >= 300:
            raise CohostError(f"GitHub: {method} {path}: {answer.status}: {answer.data.decode(errors='replace')[:300]}")
        return answer.json()


def _ours(item: Mapping[str, Any], marker: str) -> bool:
    author = item.get("user") or {}
    return author.get("type") == "Bot" and (item.get("body") or "").startswith(marker)
