"""Write the log messages of libraries to our log."""

from __future__ import annotations

import logging

from pointsman.observability.log import Log


class _LibraryHandler(logging.Handler):
    """Write each library message as one line without a traceback."""

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
    logging.basicConfig(handlers=[_LibraryHandler(log)], level=logging.WARNING, force=True)
