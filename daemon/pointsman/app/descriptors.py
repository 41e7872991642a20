"""Share the file descriptors of the process, so that a flood of clients leaves some for connections to vLLM."""

from __future__ import annotations

import resource

from pointsman.config.model import ServerOptions
from pointsman.errors import CannotStart

# Connections to the admin port.
ADMIN_CONNECTIONS = 32
# For these and for refused connections, listeners, the classifier's files, probes, and libraries.
SPARE_FILES = 128
# With fewer connections there is no service.
MIN_CONNECTIONS = 16


def raise_limit() -> int:
    """Raise the limit of open files to its maximum, and return it."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    return 2**63 if hard_limit == resource.RLIM_INFINITY else hard_limit


def client_connections(options: ServerOptions, files: int) -> int:
    """Return the number of client connections if the process may open this many files; raises CannotStart.

    Each request in flight needs another one, to vLLM.
    """
    left = files - SPARE_FILES
    max_clients = max(left - options.max_in_flight, left // 2)
    if max_clients < min(MIN_CONNECTIONS, options.max_connections):
        raise CannotStart(
            f"this process may open {files} files, which is too few for clients' connections "
            f"({SPARE_FILES} are kept for other purposes): raise LimitNOFILE (ulimit -Hn)"
        )
    return min(options.max_connections, max_clients)
