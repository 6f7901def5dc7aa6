"""The same work on many things at once: bad input of all of them reported together, anything else ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TypeVar

from cohost.errors import InputError, Problem
from cohost.store import Cancelled

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Counter:
    """Tells how much of something is done, from many threads.

    Attributes:
        total: How much there is.
        done: How much of it is done.
        report: Called with both.
    """

    total: int
    done: int
    report: Callable[[int, int], None]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, more: int = 0) -> None:
        """Adds to what is done, and reports it."""
        with self._lock:
            self.done += more
            self.report(self.done, self.total)


def in_parallel(
    items: Iterable[Item],
    do: Callable[[Item, Callable[[], bool]], Result],
    *,
    threads: int,
    cancelled: Callable[[], bool],
    after: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Does something with each of many items.

    Args:
        items: The items.
        do: Called with an item and with what tells whether to stop, which long work is to ask now and then.
        threads: How many at the same time.
        cancelled: Whether the caller wants it to stop.
        after: Called after each item.

    Returns:
        What `do` returned, in the order of the items.

    Raises:
        InputError: With the problems of all items, once everything else is done.
        Cancelled: `cancelled` said so.
        Exception: The first other error; what was going on then has ended.
    """
    failed = threading.Event()
    problems: list[Problem] = []

    def stopping() -> bool:
        return failed.is_set() or cancelled()

    def run(item: Item) -> Result:
        if stopping():
            raise Cancelled("stopped before everything was done")
        return do(item, stopping)

    with ThreadPoolExecutor(threads, thread_name_prefix="cohost") as pool:
        running: list[Future[Result]] = [pool.submit(run, item) for item in items]
        try:
            for future in as_completed(running):
                error = future.exception()
                if isinstance(error, InputError):
                    problems += error.problems
                elif error is not None:
                    raise error
                after()
        except BaseException:
            failed.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if problems:
        raise InputError(problems)
    return [future.result() for future in running]
