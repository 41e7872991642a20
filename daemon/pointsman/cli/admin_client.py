"""Call the admin port of a running service."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from pointsman.config.address import Tcp, listen
from pointsman.errors import PointsmanError
from pointsman.upstream.vllm_admin import words

# Loads run one after another, and each may take minutes.
ANSWER_SECONDS = 600.0


class AdminError(PointsmanError):
    """The service did not answer or refused; the message says why."""


def ask(address: str, method: str, path: str, body: object = None) -> Any:
    """Return the admin port's response; `address` is `host:port` or `unix:/path`. Raises AdminError."""
    connection = _Connection(address)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        said = response.read()
        answer = json.loads(said)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AdminError(
            f"no answer from the service's admin port at {address} ({error}); check that it runs with this config"
        ) from error
    finally:
        connection.close()
    if response.status >= 400 and not (isinstance(answer, dict) and "endpoints" in answer):
        raise AdminError(words(response.status, said))
    return answer


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        self._address = listen(address)
        host, port = (self._address.host, self._address.port) if isinstance(self._address, Tcp) else ("localhost", 80)
        super().__init__(host, port, timeout=ANSWER_SECONDS)

    def connect(self) -> None:
        if isinstance(self._address, Tcp):
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address.path)
