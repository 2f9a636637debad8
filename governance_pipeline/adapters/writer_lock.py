"""One writer at a time per home, across processes, and a sentence about who it is."""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from governance_pipeline.adapters.leftovers import clear_leftovers
from governance_pipeline.errors import LockedError
from governance_pipeline.paths import Paths

LOOKS_FOR = 2.0
"""Seconds that everybody waits for the lock: who only looks at the verdicts holds it for less."""


@contextmanager
def writer_lock(paths: Paths, holder: str, *, wait_seconds: float = LOOKS_FOR) -> Iterator[None]:
    """Hold the right to write to a home; the operating system frees it if the process dies.

    The lock is reentrant within a process, since a command holds it around the runs it launches.
    What a writer that died left half done is cleared away first. Who reads the warehouse while a
    run may begin takes it too: a reader of the file keeps a writer out, whose run would fail.

    Raises:
        LockedError: If another process holds it, naming that process and since when.
    """
    paths.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(paths.lock, is_singleton=True, thread_local=False)
    note = paths.lock.with_suffix(".holder")
    try:
        lock.acquire(timeout=wait_seconds)
    except Timeout:
        raise LockedError(
            f"{paths.root} is being written by {_who(note)}; wait for it, or stop it"
        ) from None
    try:
        if lock.lock_counter == 1:
            now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
            note.write_text(f"{holder}, process {os.getpid()}, since {now} UTC")
            clear_leftovers(paths)
        yield
    finally:
        if lock.lock_counter == 1:
            note.unlink(missing_ok=True)
        lock.release()


def is_being_written(paths: Paths) -> bool:
    """Return whether any process holds the writer's lock, this one too."""
    lock = FileLock(paths.lock, is_singleton=True, thread_local=False)
    if lock.is_locked:
        return True
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _who(note: "os.PathLike[str]") -> str:
    try:
        with open(note) as file:  # noqa: PTH123 - may vanish between the look and the read
            return file.read() or "another process"
    except FileNotFoundError:
        return "another process"
