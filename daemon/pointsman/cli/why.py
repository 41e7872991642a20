"""Implement `pointsman why`: show everything that the log has about one request.

The running service answers for the newest requests, from memory; for others, logs are read in one pass.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pointsman.cli.admin_client import AdminPort, NoService, read, understood
from pointsman.cli.request_text import listed, rendered
from pointsman.config.load import default_path, load
from pointsman.errors import CannotStart, CommandFailed, EvaluationError
from pointsman.improve.texts_file import TextRecord
from pointsman.observability import log_reader
from pointsman.observability.find_request import MAX_FOUND_LINES, MIN_BEGINNING_CHARACTERS, Search
from pointsman.observability.log import JOURNAL
from pointsman.routing.explain import plain
from pointsman.store.rotated_file import rows

MAX_TEXT_CHARACTERS = 500
# The beginning of each line of the log; a truncated line still has its time.
_OWN = re.compile(rb'\s*\{"ts": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')


class _UnreadableLog(CannotStart):
    """No log could be read in full, so the answer is unknown; the message says why."""


class _FoundRequests(NamedTuple):
    """The lines of a request, the newest first, each with its origin.

    `ambiguous`: they belong to several requests. `more`: there are older ones.
    """

    requests: list[tuple[str, dict[str, Any]]]
    ambiguous: bool
    more: bool


def run(options: argparse.Namespace) -> int:
    """Print the request; raises CommandFailed if there is none, CannotStart if no log or config can be read."""
    answer = _read(options.id, options.logs) if options.logs else _ask(options.id, options.config)
    requests = answer.requests
    if answer.ambiguous:
        found = "\n".join(f"  {listed(fields)}" for _, fields in requests)
        more = "\n  ..." if answer.more else ""
        raise CommandFailed(f"several requests have ids that begin with {options.id}; give more of one:\n{found}{more}")
    texts = _texts(options.config, [fields for _, fields in requests]) if options.text else None
    if options.json:
        shown = [fields if texts is None else fields | {"text": _text(fields, texts)} for _, fields in requests]
        print("\n".join(json.dumps(fields, indent=2) for fields in shown))
        return 0
    blocks = [
        [
            source,
            *rendered(fields),
            *([] if texts is None else [f"text       {_text(fields, texts) or '(not stored)'}"]),
        ]
        for source, fields in requests
    ]
    print("\n\n".join("\n".join(map(plain, lines)) for lines in blocks))
    if answer.more:
        print(f"pointsman: there are more; these are the newest {MAX_FOUND_LINES}", file=sys.stderr)
    return 0


def _ask(wanted: str, config: Path | None) -> _FoundRequests:
    """Return the running service's lines; raises CommandFailed if there are none."""
    port = AdminPort.of_service(config)
    try:
        result = read(port, "GET", f"/request?id={wanted}")
    except NoService as error:
        raise CommandFailed(f"{error}, or name a log: `pointsman why {wanted} LOG`") from error
    with understood(port.address):
        if not result["requests"]:
            raise CommandFailed(plain(_not_found(wanted, port.address, result)))
        requests = [(f"service    {port.address}", dict(fields)) for fields in result["requests"]]
        return _FoundRequests(requests, bool(result["ambiguous"]), bool(result["more"]))


def _not_found(wanted: str, address: str, result: dict[str, Any]) -> str:
    """Return why the running service does not know a request, and which log may."""
    log = result["log"]
    if log == JOURNAL:
        older = f"`journalctl -u pointsman -o cat | pointsman why {wanted} -`"
    else:
        older = f"`pointsman why {wanted} {log or 'LOG'}`, with its older files; LOG is the service's stderr"
    if not result["logged"]:
        state = "writes no lines of requests now (log.requests or log.level)"
    elif result["since"] is None:
        state = "has finished no request since it started"
    else:
        state = f"has the newest requests that have ended, from {result['since']} on"
    return f"no request {wanted}{_short(wanted)}: the service at {address} {state}; others are in its log: {older}"


def _read(wanted: str, paths: Sequence[Path]) -> _FoundRequests:
    """Return the lines in logs; raises CommandFailed if there are none, _UnreadableLog if that is unknown."""
    search, begin, end = Search(wanted), b"", b""
    troubles = []
    for path in paths:
        try:
            with log_reader.opened(path) as lines:
                for line in log_reader.own(lines, b"request_id"):
                    if (own := _OWN.match(line)) is not None:
                        begin, end = min(begin or own[1], own[1]), max(end, own[1])
                        search.see(line, str(path))
        except EvaluationError as error:
            troubles.append(str(error))
    if not search.found:
        broken = f"; {search.broken} lines with these characters are not whole" if search.broken else ""
        names = ", ".join(map(str, paths))
        if troubles:
            raise _UnreadableLog(plain("; ".join(troubles)) + broken)
        if not end:
            raise _UnreadableLog(
                f"{plain(names)}: no line of a request in it; name the log of `pointsman serve` (its stderr), as "
                "written, from journalctl, or compressed by gzip"
            )
        message = f"no request {wanted}{_short(wanted)} in {names}, with requests that ended from {begin.decode()} to"
        raise CommandFailed(plain(f"{message} {end.decode()}{broken}; name older or newer files of the log as well"))
    for trouble in troubles:
        print(plain(f"pointsman: warning: {trouble}"), file=sys.stderr)
    return _FoundRequests(
        [(f"log        {one.location}", one.fields) for one in search.found], search.ambiguous, search.more
    )


def _short(wanted: str) -> str:
    """Return the message for an id that is too short to be the beginning of one."""
    return (
        f" (the beginning of an id has at least {MIN_BEGINNING_CHARACTERS} characters)"
        if len(wanted) < MIN_BEGINNING_CHARACTERS
        else ""
    )


def _texts(config: Path | None, requests: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the beginnings of the requests' texts, by hash, as far as stored; raises CommandFailed."""
    path = config or default_path()
    file = load(path).config.pointsman.log.texts_file
    if file is None:
        raise CommandFailed(f"{path} has no pointsman.log.texts_file, so no texts are stored; leave out --text")
    missing = {one["text_hash"] for one in requests if isinstance(one.get("text_hash"), str)}
    found: dict[str, str] = {}
    try:
        for row in rows(Path(file), TextRecord):
            if row.hash in missing:
                found[row.hash] = row.text[:MAX_TEXT_CHARACTERS]
                missing.remove(row.hash)
            if not missing:
                break
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandFailed(f"{error.filename}: {error.strerror}; run this as root or the service's user") from error
    return found


def _text(fields: dict[str, Any], texts: dict[str, str]) -> str | None:
    name = fields.get("text_hash")
    return texts.get(name) if isinstance(name, str) else None
