"""Call the admin port of a running service."""

from __future__ import annotations

import argparse
import contextlib
import errno
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pointsman.config.address import Tcp, Unix, listen
from pointsman.config.admin_address import running_at
from pointsman.config.load import default_path, load
from pointsman.config.model import ServerOptions, TlsOptions
from pointsman.config.running import admin_of
from pointsman.config.secret import read_secret
from pointsman.errors import CannotStart, CommandFailed, ConfigError
from pointsman.upstream.vllm_admin import words

# Loads run one after another, and each may take minutes.
ANSWER_SECONDS = 600.0
# Timeout of read-only requests, and of a stranger at the address.
SOON_SECONDS = 15.0
MAX_ANSWER_BYTES = 128 * 2**20
# Errors of connecting if no service listens; without a network, a loopback address is unreachable.
NOBODY_LISTENS = frozenset({errno.ECONNREFUSED, errno.ENOENT, errno.ENETUNREACH, errno.EHOSTUNREACH})
# Errors of reading an answer of another form.
_FORM_ERRORS = (LookupError, TypeError, ValueError, AttributeError)


class AdminError(CommandFailed):
    """The service did not answer or refused; the message says why."""


class NoService(AdminError):
    """Nothing listens at the admin address."""


@dataclass(frozen=True, slots=True)
class AdminPort:
    """The admin port of a running service.

    Its address is `host:port` or `unix:/path`; `token_file` contains its token, and `tls` names its certificate.
    """

    address: str
    token_file: str | None = None
    tls: TlsOptions | None = None

    @classmethod
    def of(cls, server: ServerOptions) -> AdminPort:
        """Return the admin port of the service that runs with these options."""
        address = running_at(server)
        return (
            cls(address)
            if isinstance(listen(address), Unix)
            else cls(address, server.admin_token_file, server.admin_tls)
        )

    @classmethod
    def of_service(cls, config: Path | None) -> AdminPort:
        """Return the admin port of the service that runs with a config file, by default that of `default_path`.

        If the file has become unreadable, a running service is still found, but not its token. Raises ConfigError.
        """
        path = config or default_path()
        address = admin_of(path)
        try:
            server = load(path).config.pointsman.server
        except ConfigError:
            if address is None:
                raise
            return cls(address)
        return cls.of(server if address is None else replace(server, admin_listen=address))

    def headers(self) -> dict[str, str]:
        """Return the headers that authorize the command; raises AdminError."""
        if self.token_file is None:
            return {}
        try:
            token = read_secret(self.token_file, "pointsman.server.admin_token_file")
        except CannotStart as error:
            raise AdminError(f"{error}, or run this command as a user who may read it") from error
        return {"Authorization": f"Bearer {token.decode()}"}


def ask(port: AdminPort, method: str, path: str, body: object = None, *, seconds: float = ANSWER_SECONDS) -> Any:
    """Return the admin port's response; `body` is JSON in bytes or an object. Raises AdminError."""
    headers, address = port.headers(), port.address
    connection = _Connection(port, seconds)
    sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if sent is not None:
        headers["Content-Type"] = "application/json"
    check = "check that it runs with this config"
    try:
        connection.connect()
        connection.request(method, path, sent, headers)
        with connection.getresponse() as response:
            said = response.read(MAX_ANSWER_BYTES)
        answer = json.loads(said)
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        gone = isinstance(error, OSError) and error.errno in NOBODY_LISTENS
        if isinstance(error, PermissionError):
            check = "run this command as root, or as a member of the socket's group"
        why = f"no answer from the service's admin port at {address} ({_words(error)}); {check}"
        raise NoService(why) if gone else AdminError(why) from error
    finally:
        connection.close()
    if response.status == 404 and _unlisted(answer):
        raise AdminError(
            f"{method} {path}: Not Found at {address}; restart the service if it is older than this command, or {check}"
        )
    if response.status >= 400 and not (isinstance(answer, dict) and "endpoints" in answer):
        raise AdminError(words(response.status, said))
    return answer


def read(port: AdminPort, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """Return the answer to a read-only request; raises AdminError, also if it is no object."""
    answer = ask(port, method, path, body, seconds=SOON_SECONDS)
    if not isinstance(answer, dict):
        raise _strange(port.address)
    return answer


def show(options: argparse.Namespace, answer: Callable[[AdminPort], Any], lines: Callable[[Any], Iterable[str]]) -> int:
    """Print an answer of the running service, raw with `--json`, else as lines; return the exit code.

    Raises AdminError and ConfigError.
    """
    port = AdminPort.of_service(options.config)
    with understood(port.address):
        result = answer(port)
        text = json.dumps(result, indent=2) if options.json else "\n".join(lines(result))
    print(text)
    return 0


@contextlib.contextmanager
def understood(address: str) -> Iterator[None]:
    """Raise AdminError if the block cannot read an answer from an address, as of another version."""
    try:
        yield
    except _FORM_ERRORS as error:
        raise _strange(address) from error


def warn_of_trouble(answer: dict[str, Any]) -> None:
    """Report a problem of a service that did what it was asked."""
    if answer.get("trouble"):
        print(f"pointsman: warning: {answer['trouble']}", file=sys.stderr)


def _strange(address: str) -> AdminError:
    return AdminError(f"the answer from {address} has another form: restart the service after an upgrade")


def _unlisted(answer: Any) -> bool:
    """Return whether a 404 is about the path: the service's own, or that of another program."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return not isinstance(error, dict) or error.get("code") == "not_found"


def _words(error: Exception) -> str:
    """Return the error; its message may quote a stranger's answer."""
    text = "not JSON" if isinstance(error, (ValueError, RecursionError)) else str(error) or type(error).__name__
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _only_this_server(tls: TlsOptions) -> ssl.SSLContext:
    """Return a TLS context for the owner of the port's certificate, whatever its signer; raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # an address may be a wildcard
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(tls.certificate_file)
    if tls.client_ca_file is not None:
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    return context


class _Connection(http.client.HTTPConnection):
    def __init__(self, admin: AdminPort, seconds: float) -> None:
        self._address = listen(admin.address)
        self._tls = admin.tls
        host, port = (self._address.host, self._address.port) if isinstance(self._address, Tcp) else ("localhost", 80)
        super().__init__(host, port, timeout=seconds)

    def connect(self) -> None:
        if isinstance(self._address, Tcp):
            super().connect()
            if self._tls is not None:
                self.sock = _only_this_server(self._tls).wrap_socket(self.sock)
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address.path)
