"""What libraries log, taken into our log."""

from __future__ import annotations

import logging

from pointsman.observability.log import Log


class _Bridge(logging.Handler):
    """What libraries log, as one line each and without tracebacks."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._log.write(
            "warning", "library", logger=record.name, message=record.getMessage(), error=error and repr(error)
        )


def adopt_library_log(log: Log) -> None:
    """Write warnings and errors of libraries as lines of `log`."""
    logging.basicConfig(handlers=[_Bridge(log)], level=logging.WARNING, force=True)
