"""Call vLLM from a command.

Only commands that need it import it: to import aiohttp takes longer than `pointsman status` as a whole.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import aiohttp

from pointsman.config.model import Endpoint
from pointsman.errors import CommandFailed

# A list of models is shorter.
MAX_ANSWER_BYTES = 8 * 2**20
ANSWER_SECONDS = 5.0
CONNECT_SECONDS = 2.0
MAX_REASON_CHARACTERS = 300


class CallFailed(CommandFailed):
    """A service gave no answer that can be read; the message names its address and the cause."""


class HttpClient:
    """A client of one service: it follows no redirect, keeps no cookie, and decompresses nothing."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self._endpoint = endpoint
        self._session = session

    async def get(self, path: str, seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
        """Return status and body of the answer; raises CallFailed."""
        return await self._call("GET", path, None, seconds)

    async def post(self, path: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        """Send JSON, and return status and body of the answer; raises CallFailed."""
        return await self._call("POST", path, body, seconds)

    async def _call(self, method: str, path: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
        address = self._endpoint.address
        try:
            async with self._session.request(
                method,
                self._endpoint.base_url + path,
                data=body,
                headers={} if body is None else {"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS),
            ) as response:
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise CallFailed(f"{address} sends an answer of more than {MAX_ANSWER_BYTES} bytes to `{path}`")
                return response.status, bytes(answer)
        except (aiohttp.ClientError, TimeoutError, UnicodeError) as error:  # UnicodeError: a label of a host name
            raise CallFailed(_cause(address, path, error)) from error


@contextlib.asynccontextmanager
async def connected(endpoint: Endpoint, key: bytes | None) -> AsyncIterator[HttpClient]:
    """Yield a client that sends `key`, if there is one, with each request."""
    secure = ssl.create_default_context() if endpoint.base_url.startswith("https:") else True
    headers = {"Accept-Encoding": "identity"} | ({} if key is None else {"Authorization": f"Bearer {key.decode()}"})
    async with aiohttp.ClientSession(
        connector=(
            aiohttp.TCPConnector(ssl=secure, limit=0)
            if endpoint.socket_path is None
            else aiohttp.UnixConnector(endpoint.socket_path, limit=0)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers=headers,
    ) as session:
        yield HttpClient(endpoint, session)


def _cause(address: str, path: str, error: Exception) -> str:
    """Return what failed, and what to check; a stranger may have chosen words of the error."""
    reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    said = "".join(char if char.isprintable() else " " for char in str(reason))[:MAX_REASON_CHARACTERS]
    match error:
        case aiohttp.ConnectionTimeoutError():
            return f"no connection to {address}: it did not answer in time; is a server running there?"
        case TimeoutError():
            return f"{address} does not answer `{path}` in time"
        case aiohttp.InvalidURL() | UnicodeError():
            return f"{address} is no address ({said}); check its spelling"
        case aiohttp.ClientConnectorDNSError():
            return f"the host name of {address} does not resolve ({said}); check its spelling and the DNS"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {address} is not trusted ({error.certificate_error}); see SSL_CERT_FILE"
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS connection to {address} ({said}); does the server speak TLS?"
        case aiohttp.ClientConnectorError():
            return f"no connection to {address} ({said}); is a server running there?"
        case aiohttp.ClientPayloadError():
            return f"{address} broke off its answer to `{path}`"
        case aiohttp.ClientConnectionError():
            return f"{address} broke the connection before it answered `{path}`"
        case _:
            return f"{address} answers `{path}` with something else than HTTP ({said})"
