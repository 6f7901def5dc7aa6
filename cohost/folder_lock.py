"""A lock on a folder that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes at once are not kept apart there
    fcntl = None


@contextlib.contextmanager
def held(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds a folder's lock until the block ends.

    Args:
        folder: The folder.
        wait: Whether to wait for another process that holds it.

    Yields:
        Whether it is held; not where another process has it, or the file system knows no locks (NFS).
    """
    if not fcntl:
        yield False
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        mine = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            mine = False
        yield mine
    finally:
        os.close(descriptor)
