"""GitHub's REST API for comments and issues, as far as the workflows use it, on the loopback interface."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.loopback import listening

BOT = {"type": "Bot", "login": "github-actions[bot]"}
PERSON = {"type": "User", "login": "someone"}


@dataclass
class GitHub:
    """A repository `an/app`; `issues` by number, `comments` by id."""

    url: str = ""
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuse: bool = False

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.calls.append(f"{method} {path}")
        if self.refuse:
            return 403, {"message": "Resource not accessible by integration"}
        parts = urlsplit(path.removeprefix("/repos/an/app"))
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if found := re.fullmatch(r"/issues/(\d+)/comments", parts.path):
            number = int(found[1])
            if method == "POST":
                return 201, self._add(self.comments, {**body, "issue": number, "user": BOT})
            return 200, _page([item for item in self.comments.values() if item["issue"] == number], asked)
        if found := re.fullmatch(r"/issues/comments/(\d+)", parts.path):
            return self._change(self.comments, int(found[1]), body)
        if parts.path == "/issues":
            if method == "POST":
                return 201, self._add(self.issues, {"state": "open", **body, "user": BOT})
            return 200, _page([item for item in self.issues.values() if item["state"] == asked["state"]], asked)
        if found := re.fullmatch(r"/issues/(\d+)", parts.path):
            return self._change(self.issues, int(found[1]), body)
        return 404, {"message": "Not Found"}

    def _add(self, items: dict[int, dict[str, Any]], item: dict[str, Any]) -> dict[str, Any]:
        number = len(items) + 1
        items[number] = {"id": number, "number": number, **item}
        return items[number]

    def _change(self, items: dict[int, dict[str, Any]], number: int, body: dict[str, Any]) -> tuple[int, Any]:
        items[number].update(body)
        return 200, items[number]


def _page(items: list[dict[str, Any]], asked: dict[str, str]) -> list[dict[str, Any]]:
    size, number = int(asked["per_page"]), int(asked["page"])
    return items[(number - 1) * size : number * size]


@contextmanager
def github() -> Iterator[GitHub]:
    state = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            state.tokens.add(self.headers["Authorization"])
            status, answer = state.answer(self.command, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with listening(Handler) as state.url:
        yield state
