"""The model server of one deployed model, kept alive for as long as it is deployed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.local.triton.server import Reply, UnreachableError, started
from cohost.local.vertex.triton import Container, VertexTriton

_LOG: Final = logging.getLogger(__name__)
_RESTART_SECONDS: Final = 1.0
_DRAIN_SECONDS: Final = 70.0
_MOMENT_SECONDS: Final = 0.05


class Replica:
    """One model server; however many replicas are asked for, this machine has one."""

    def __init__(self, folder: Path, mark: str, container: Container) -> None:
        """Starts nothing yet.

        Args:
            folder: Where servers keep what they need.
            mark: The server's name.
            container: What it is started with.
        """
        self.container = container
        self._folder, self._mark = folder, mark
        self._changed = threading.Condition()
        self._calls = 0
        self._closed = False
        self._server: VertexTriton | None = None

    def start(self, stay: Callable[[], None]) -> None:
        """Starts the server, waits until it is ready, and keeps it alive from then on.

        Raises:
            ExitedError: It ended.
            TimeoutError: It did not become ready in time.
            CohostError: It cannot be started here.
        """
        self._server = self._started(stay)
        threading.Thread(target=self._keep_alive, daemon=True).start()

    @contextmanager
    def using(self) -> Iterator[bool]:
        """Holds the server for one call; False when it is going, or gone."""
        with self._changed:
            taken = not self._closed
            self._calls += taken
        try:
            yield taken
        finally:
            if taken:
                with self._changed:
                    self._calls -= 1
                    self._changed.notify_all()

    def request(self, body: bytes, headers: dict[str, str], *, seconds: float) -> Reply:
        """Sends a request to the predict route.

        Raises:
            UnreachableError: The server does not answer, nor does the one that was started in its place.
            TimeoutError: It has not answered in time.
        """
        deadline = time.monotonic() + seconds
        route = self.container.predict_route
        try:
            return self._up(deadline).request("POST", route, body, headers, seconds=seconds)
        except UnreachableError:
            # It died; one that merely refused a connection is given a moment.
            time.sleep(_MOMENT_SECONDS)
            return self._up(deadline).request("POST", route, body, headers, seconds=seconds)

    def close(self, *, drain: bool) -> None:
        """Ends the server: once its last call has ended, or at once."""
        deadline = time.monotonic() + (_DRAIN_SECONDS if drain else 0)
        with self._changed:
            self._closed = True
            while self._calls and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            server, self._server = self._server, None
        if server:
            server.kill()
            server.log.unlink(missing_ok=True)

    def _up(self, deadline: float) -> VertexTriton:
        """Returns the server, waiting for one that is being started again."""
        while True:
            server = self._server
            if server and server.running():
                return server
            if self._closed or time.monotonic() >= deadline:
                raise UnreachableError("the model server is being started again")
            time.sleep(_MOMENT_SECONDS)

    def _started(self, stay: Callable[[], None]) -> VertexTriton:
        return started(
            lambda: VertexTriton(self._folder, mark=self._mark, container=self.container),
            lambda server: server.wait_until_ready(stay),
        )

    def _keep_alive(self) -> None:
        while server := self._server:
            server.wait()
            if self._closed:
                return
            _LOG.warning("%s: the model server ended, starting it again", self._mark)
            server.kill()
            self._server = None
            while self._server is None and not self._closed:
                try:
                    self._adopt(self._started(lambda: None))
                except (CohostError, OSError, TimeoutError) as error:
                    _LOG.error("%s: %s", self._mark, error)
                    time.sleep(_RESTART_SECONDS)

    def _adopt(self, server: VertexTriton) -> None:
        with self._changed:
            if not self._closed:
                self._server = server
                return
        server.kill()
