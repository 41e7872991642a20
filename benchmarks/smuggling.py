"""Send outside corpora of malformed requests to the data port, and look for any that vLLM would see as another one.

Each request comes as it is, and at a path that is relayed; whole, and cut in eight ways. Everything between the two
transports is the daemon's own, without sockets. Behind it a second parser, as strict as the grammar, reads what vLLM
gets: whole requests, as many as the daemon says that it has sent, and the same ones however they were cut. The corpora
are the tests of gunicorn and of llhttp, and the headers of Smuggler, which tries them on servers; CORPORA is a folder
with a checkout of each (`make smuggling`). Writes benchmarks/results/smuggling.json and smuggling.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from markdown import judged, table
from provenance import processor, provenance
from startup import RESULT
from target import at_most

from support.playbook import OK, Wire, playing

PATH = b"/v1/chat/completions"
LINE = re.compile(rb"\A\S+( +)\S+( +HTTP/)")
HEAD = re.compile(
    rb"(?:GET|POST) /[!-~]* HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[ \t]*[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
FRAMING = re.compile(rb"^(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE | re.MULTILINE)
ID = re.compile(rb"X-Request-Id: \S+\r\n")
GADGET = re.compile(r'render_template\("((?:[^"\\]|\\.)*)"')


def arrived(data: bytes) -> list[bytes] | None:
    """Return the requests that vLLM gets, each with its body; None if they are no whole ones by the grammar."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        head = HEAD.match(data, at)
        if head is None:
            return None
        framing, lengths = FRAMING.findall(head[1]), LENGTH.findall(head[1])
        if len(framing) != len(lengths) or len(lengths) > 1:
            return None
        end = head.end() + (int(lengths[0]) if lengths else 0)
        if end > len(data):
            return None
        found.append(data[at:end])
        at = end
    return found


# --- the corpora ---------------------------------------------------------------------------------------------------


def gunicorn(checkout: Path) -> Iterator[bytes]:
    """Yield the requests of gunicorn's tests: text in which line ends and other bytes are escaped."""
    escaped = {rb"\r\n": b"\r\n", rb"\0": b"\0", rb"\n": b"\n", rb"\t": b"\t"}
    for file in sorted(checkout.glob("tests/requests/*/*.http")):
        text = file.read_bytes().replace(b"\n", b"")
        for written, meant in escaped.items():
            text = text.replace(written, meant)
        yield re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda byte: bytes([int(byte[1], 16)]), text)


def llhttp(checkout: Path) -> Iterator[bytes]:
    """Yield the requests of llhttp's tests: Markdown in which some bytes are escaped."""
    for file in sorted(checkout.glob("test/request/*.md")):
        for block in re.findall(r"```http\n(.*?)\n```", file.read_text(), re.DOTALL):
            text = re.sub(r"\\\n", "", block)  # a line continues
            text = re.sub(r"(?<!\\r)\n", "\r\n", text) if r"\n" not in text else text.replace("\n", "")
            yield _unescaped(text)


def smuggler(checkout: Path) -> Iterator[bytes]:
    """Yield the requests of Smuggler: each of its headers before a body that two servers would end elsewhere."""
    for file in sorted(checkout.glob("configs/*.py")):
        for gadget in sorted(set(GADGET.findall(file.read_text()))):
            for byte in range(256) if "%c" in gadget else (0,):
                header = _unescaped(gadget).replace(b"%c", bytes([byte]))
                for length, body in (
                    (6, b"0\r\n\r\nX"),
                    (5, b"1\r\nZ\r\nQ\r\n\r\n"),
                    (4, b"b\r\nGET / HTTP/\r\n0\r\n\r\n"),
                ):
                    yield b"POST / HTTP/1.1\r\n%b\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (
                        header,
                        length,
                        body,
                    )


ESCAPED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"f": b"\f", b"0": b"\0"}


def _unescaped(text: str) -> bytes:
    """Return the bytes that a text means in which some are escaped, as in Python and JavaScript."""
    return re.sub(
        rb"\\(?:x([0-9A-Fa-f]{2})|u00([0-9A-Fa-f]{2})|(.))",
        lambda one: bytes([int(one[1] or one[2], 16)]) if one[1] or one[2] else ESCAPED.get(one[3], one[3]),
        text.encode("latin-1", "replace"),
    )


CORPORA: dict[str, Callable[[Path], Iterator[bytes]]] = {"gunicorn": gunicorn, "llhttp": llhttp, "smuggler": smuggler}


# --- how they come -------------------------------------------------------------------------------------------------


def addressed(request: bytes) -> list[bytes]:
    """Return a request as it is, and to a path that is relayed, if it has a request line."""
    line = LINE.match(request)
    if line is None:
        return [request]
    return [request, b"POST" + line[1] + PATH + line[2] + request[line.end() :]]


def cut(request: bytes) -> list[list[bytes]]:
    """Return a request whole, and cut in eight ways: at each byte, each line, in the middle, and by chance."""
    chance = random.Random(len(request))
    lines = [match.end() for match in re.finditer(rb"\r\n", request)]
    ends = [end - 1 for end in lines]
    ways = [[], list(range(1, len(request))), lines, ends, [len(request) // 2], [1, len(request) - 1]]
    ways += [sorted(chance.choices(range(1, max(2, len(request))), k=count)) for count in (2, 3, 5)]
    return [
        [request[start:end] for start, end in itertools.pairwise([0, *way, len(request)]) if start < end]
        for way in ways
    ]


def sent(wire: Wire, pieces: list[bytes]) -> tuple[list[bytes] | None, int]:
    """Have a client send the pieces; return what arrives at vLLM, and how many requests the daemon says it sent."""
    wire.begin()
    client, answered = wire.client, 0
    for piece in pieces:
        if client.closing or client.closed:
            break
        client.sends(piece)
        while (there := arrived(written(wire))) is not None and len(there) > answered:
            answered += 1
            wire.upstream.sends(OK)
    client.ends()
    for connection in wire.pooled:
        connection.ends()  # none is there for the next client
    got = arrived(written(wire))
    said = sum("endpoint" in line for line in wire.outcomes())
    return got and [ID.sub(b"", request) for request in got], said


def written(wire: Wire) -> bytes:
    """Return what vLLM got on all of its connections, of which one was in use at a time."""
    return b"".join([bytes(connection.written) for connection in wire.a.connections])


def tried(requests: Iterable[bytes]) -> dict[str, int]:
    """Return how many requests were sent in all ways, relayed at least once, and smuggled."""
    count = {"requests": 0, "sent": 0, "relayed": 0, "smuggled": 0}
    with playing() as wire:
        for request in requests:
            whole, *others = [sent(wire, pieces) for pieces in cut(request)]
            count["requests"] += 1
            count["sent"] += 1 + len(others)
            count["relayed"] += bool(whole[0])
            for got, said in (whole, *others):
                if got is None or len(got) != said or got != whole[0]:
                    count["smuggled"] += 1
                    print("smuggled:", request, got, flush=True)
    return count


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    counted = result["corpora"]
    rows = [
        [name, found["commit"][:12], *(f"{found[what]:,}" for what in ("requests", "sent", "relayed", "smuggled"))]
        for name, found in counted.items()
    ]
    return [
        "# Malformed requests of others",
        "",
        "Each request of three outside corpora as it is, and at a path that is relayed; whole, and cut in eight ways",
        "(`make smuggling`). Smuggled is what reaches vLLM as anything but the requests that the daemon says it has",
        "sent, or as another one when it is cut.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["corpus", "commit", "requests", "sent", "relayed", "smuggled"], rows),
        "",
        *judged([at_most("smuggled", 0, {name: found["smuggled"] for name, found in counted.items()})]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    folder = parser.parse_args().corpora
    found: dict[str, Any] = {}
    for name, read in CORPORA.items():
        requests = dict.fromkeys(one for request in read(folder / name) for one in addressed(request))
        found[name] = {"commit": (folder / name / "COMMIT").read_text().strip(), **tried(requests)}
        print(name, found[name], flush=True)
    result = provenance() | {"corpora": found}
    RESULT.with_name("smuggling.json").write_text(json.dumps(result, indent=2) + "\n")
    RESULT.with_name("smuggling.md").write_text("\n".join(rendered(result)) + "\n")
    if any(counts["smuggled"] for counts in found.values()):
        raise SystemExit("some were smuggled")


if __name__ == "__main__":
    main()
