"""Write the messages of libraries and the interpreter to our log: their own lines on stderr could block a thread."""

from __future__ import annotations

import logging
import sys
import threading
import traceback

from pointsman.observability.log import Log

# Python's report of a signal that came just before it was to be ignored, as SIGHUP is at the end: it is ignored.
IGNORED_SIGNAL = "ignored due to race condition"


class _LibraryHandler(logging.Handler):
    """A handler that writes each library message as one line, an error with its traceback."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the message must not fail the library's caller
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        serious = record.levelno >= logging.ERROR
        self._log.write(
            "error" if serious else "warning",
            "library",
            logger=record.name,
            message=message,
            error=None if error is None else repr(error),
            traceback=_traceback(error) if serious else None,
        )


def adopt_library_log(log: Log) -> None:
    """Write warnings and errors of libraries, and uncaught exceptions, as lines of `log`."""
    logging.basicConfig(handlers=[_LibraryHandler(log)], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        where = args.thread.name if args.thread else "a thread"
        log.write("error", "uncaught", where=where, traceback=_traceback(args.exc_value))

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        if IGNORED_SIGNAL in str(args.exc_value):
            return
        log.write("error", "uncaught", where=repr(args.object), traceback=_traceback(args.exc_value))

    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


def _traceback(error: BaseException | None) -> str | None:
    return None if error is None else "".join(traceback.format_exception(error))
