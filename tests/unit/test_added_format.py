"""A format is added in one file: the service does with its path what the entry says, and nothing else is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pointsman
from pointsman.config.model import TracingOptions
from pointsman.formats import by_path
from pointsman.routing.edits import Edits, ReasoningEdit, SystemPrompt
from pointsman.routing.parsed_request import format_of, parse_request
from support.client_keys import bearer, line
from support.collector import collecting
from support.config_files import MINIMAL, loaded
from support.playbook import LAST, STREAM, Wire, chunk, playing

pytestmark = pytest.mark.heavy

PATH = "/v9/converse"
ADDED = f"""\
    Format(
        "{PATH}",
        routed=True,
        generates=True,
        operation="converse",
        error_form=ANTHROPIC,
        prompt_field="turns",
        system_field="persona",
        known_by="turns",
        effort=("thinking", "effort"),
        length_fields=("longest",),
        usage_in_stream=(("cost", "usage"),),
        usage_on_request=True,
    ),
"""
IN_CONFIG = f"""\
pointsman:
  relay:
    scheduling_policy: priority
    paths:
      priorities: {{POST {PATH}: 3}}
  routing:
    rules:
      - {{name: talks, default: true, paths: [{PATH}]}}
"""
BODY = {"turns": [{"role": "user", "content": "Why?"}], "persona": "Theirs.", "longest": 50, "stream": True}
USAGE = b'data: {"cost":{"usage":{"input_tokens":7,"output_tokens":5}}}\n\n'


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What `observe` returns in a process whose `pointsman` differs in one file."""
    folder, sources = tmp_path_factory.mktemp("added"), Path(pointsman.__file__).parent
    package = folder / "pointsman"
    package.mkdir()
    for path in sources.iterdir():
        if path.name != "formats":
            (package / path.name).symlink_to(path)
    shutil.copytree(sources / "formats", package / "formats")
    entries = package / "formats/__init__.py"
    entries.write_text(entries.read_text().replace("FORMATS = (\n", f"FORMATS = (\n{ADDED}"))
    code = f"from unit import test_added_format as m; m.observe({str(folder)!r})"
    searched = [str(folder), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(searched)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def observe(folder: str) -> None:
    """Print what the service does with requests to the path."""
    with collecting() as collector, playing(keys=line("ann", tokens_per_minute=1000)) as wire:
        wire._options = replace(wire._options, tracing=TracingOptions(endpoint=collector.url))
        wire.reload()
        routed = sent(wire, "MoM")
        wire.upstream.sends(STREAM + chunk(USAGE) + LAST)
        remaining = wire.answer.head.lower().partition(b"x-ratelimit-remaining-tokens: ")[2].partition(b"\r")[0]
        relayed = sent(wire, "base")
        wire.upstream.sends(b"SSH-2.0\r\n\r\n")
        error = json.loads(wire.answer.body)
        outcome = wire.outcomes()[0]
        exported = wire.generations.current.recorder.spans
        assert exported is not None
        exported.close()
        spans = [span.name for span in collector.spans]
    rules = loaded(Path(folder), MINIMAL + IN_CONFIG).config.pointsman.routing.rules
    edits = Edits(
        reasoning=ReasoningEdit("reasoning_effort", "unused", "high"), system_prompt=SystemPrompt("Ours.", "insert")
    )
    request = parse_request(by_path(PATH), json.dumps(BODY).encode())
    edited = request.apply(edits)
    found = {
        "routed": routed,
        "relayed": relayed,
        "edited": json.loads(bytes(edited.body)),
        "prompted": edited.prompted,
        "known": format_of(request.fields).path,
        "remaining": int(remaining),
        "outcome": outcome,
        "error": error,
        "spans": spans,
        "rules": [rule.paths for rule in rules],
    }
    print(json.dumps(found))


def sent(wire: Wire, model: str) -> tuple[str, Any]:
    """POST a request; returns the path and the body that vLLM gets."""
    body = json.dumps({"model": model, **BODY}).encode()
    head = [f"POST {PATH} HTTP/1.1", "Host: here", "Content-Type: application/json", bearer("ann")]
    wire.client = wire.connect()
    wire.client.sends("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
    got = wire.upstream.written
    return got[got.rindex(b"POST ") :].split()[1].decode(), json.loads(got.rpartition(b"\r\n\r\n")[2])


def test_a_request_with_the_automatic_name_is_routed(seen: Any) -> None:
    path, body = seen["routed"]
    assert (path, body["model"], seen["outcome"]["category"]) == (PATH, "technical-lora", "technical")
    assert body["turns"] == BODY["turns"]


def test_a_request_for_a_model_is_relayed(seen: Any) -> None:
    path, body = seen["relayed"]
    assert (path, body["model"]) == (PATH, "base")


def test_a_body_is_known_by_its_field(seen: Any) -> None:
    assert seen["known"] == PATH


def test_the_edits_of_a_decision_are_in_its_fields(seen: Any) -> None:
    added = {"persona": "Ours.\n\nTheirs.", "thinking": {"effort": "high"}}
    assert (seen["edited"], seen["prompted"]) == (BODY | added, True)


def test_an_error_has_its_form(seen: Any) -> None:
    assert (seen["error"]["type"], seen["error"]["error"]["type"]) == ("error", "api_error")


def test_a_span_has_the_name_of_its_operation(seen: Any) -> None:
    assert seen["spans"] == ["converse MoM", "converse base"]


def test_its_streams_are_asked_for_usage_which_is_read_where_it_is(seen: Any) -> None:
    assert seen["routed"][1]["stream_options"] == {"include_usage": True}
    assert (seen["outcome"]["prompt_tokens"], seen["outcome"]["completion_tokens"]) == (7, 5)


def test_the_longest_answer_that_it_allows_is_reserved(seen: Any) -> None:
    """Of 1000 tokens; the prompt's are a quarter of its bytes."""
    assert 1000 - 50 - 60 < seen["remaining"] < 1000 - 50


def test_rules_and_priorities_may_name_its_path(seen: Any) -> None:
    assert seen["rules"] == [[PATH]]
