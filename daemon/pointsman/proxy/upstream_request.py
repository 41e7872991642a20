"""Write the head of the request that vLLM gets. Pure."""

from __future__ import annotations

from pointsman.long_body import Body
from pointsman.observability.trace import Trace
from pointsman.server.request import Request
from pointsman.upstream.pool import ConnectionPool


def header_lines(
    request: Request, body: Body, id_line: bytes, key_line: bytes, trace: Trace | None, *, credentials: bool
) -> bytes:
    """Return the header lines that every endpoint gets; `credentials` adds the client's own."""
    head = request.head
    length = b"" if head.method == "GET" and not body else b"Content-Length: %d\r\n" % len(body)
    fields = head.forwarded(credentials=credentials, proxied=request.writer.proxied, traced=trace is not None)
    if trace is not None:
        id_line += trace.line
    return b"%b%b%b%b\r\n" % (fields, id_line, key_line, length)


def request_head(request: Request, path: str, pool: ConnectionPool, lines: bytes) -> bytes:
    """Return the head for the endpoint of `pool`; `path` is the route's, `lines` are from `header_lines`."""
    target = path.format_map(request.parameters) if request.parameters else path
    if request.head.query:
        target = f"{target}?{request.head.query}"
    return b"%b %b%b HTTP/1.1\r\n%b%b" % (
        request.head.method.encode(),
        pool.prefix,
        target.encode(),
        pool.host_line,
        lines,
    )
