"""Give up on files and libraries that do not come back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from pointsman import daemon_thread
from pointsman.errors import ArtifactError, CannotStart

T = TypeVar("T")


def in_time(
    seconds: float, folder: Path, work: Callable[[], T], given_up: Callable[[Future[T]], None] = lambda _: None
) -> T:
    """Return the result of `work` on the artifact in `folder`; raises ArtifactError, at the latest after `seconds`.

    A library that hangs cannot be interrupted: `work` is left behind in a thread that does not keep the process from
    ending, and its future is passed to `given_up`.
    """
    future = daemon_thread.start(work, "load")
    try:
        return future.result(seconds)
    except CannotStart:
        raise
    except Exception as error:
        if future.done():
            raise ArtifactError(f"{folder}: cannot be loaded ({error!r}); export the classifier again") from error
    given_up(future)
    raise ArtifactError(
        f"{folder}: was not loaded within {seconds:g} s; export the classifier again, or raise "
        "pointsman.classifier.load_timeout_ms if this host is slow"
    )
