"""The span of a request, as a collector gets it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.app.prepare import prepare
from pointsman.config.model import TracingOptions
from pointsman.errors import CannotStart, ConfigError
from pointsman.observability import spans
from pointsman.observability.log import Log
from pointsman.observability.record import Record
from pointsman.observability.spans import Spans
from pointsman.observability.trace import Trace
from support.collector import Collector, collecting, values
from support.config_files import MINIMAL, loaded
from support.log import Memory
from support.playbook import Wire, playing, with_length
from support.process import eventually

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"traceparent: 00-{TRACE}-{PARENT}-01"
ANSWER = with_length(b'{"id":"x","usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}')


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def wire(collector: Collector) -> Iterator[Wire]:
    with playing() as made:
        made._options = replace(made._options, tracing=TracingOptions(endpoint=collector.url))
        made.reload()
        yield made


def close(wire: Wire) -> None:
    """Have all spans sent."""
    exported = wire.generations.current.recorder.spans
    assert exported is not None
    exported.close()


def test_a_request_is_a_span_of_the_clients_trace(wire: Wire, collector: Collector) -> None:
    wire.ask("MoM", "/v1/chat/completions", GIVEN, "X-Request-Id: mine").sends(ANSWER)
    close(wire)
    (span,) = collector.spans
    found = values(span.attributes)

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind) == ("chat MoM", span.SPAN_KIND_SERVER)
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert collector.resource["service.name"] == "pointsman"
    named = {name: value for name, value in found.items() if name.startswith(("gen_ai", "http"))}
    assert named == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "MoM",
        "gen_ai.response.model": found["gen_ai.response.model"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
    }
    assert found["pointsman.request_id"] == "mine"
    assert found["pointsman.reason"]
    assert found["pointsman.upstream_seconds"] >= 0


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("GET /v1/models", "GET /v1/models"),
        ("HEAD /v1/models", "HEAD /v1/models"),
        ("GET /v1/models/some/model", "GET /v1/models/{name}"),
        ("GET /v1/responses/resp_1", "GET /v1/responses/{id}"),
        ("POST /tokenize", "POST /tokenize"),
    ],
)
def test_a_span_without_a_model_has_the_name_of_its_method_and_route(
    asked: str, name: str, wire: Wire, collector: Collector
) -> None:
    """The route and not the path: a backend groups spans by their names."""
    wire.client.sends(f"{asked} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n".encode())
    for vllm in (wire.a, wire.b):
        for asking in vllm.connections[-1:]:
            asking.sends(with_length(b'{"data":[]}'))
    close(wire)
    (span,) = collector.spans
    found = values(span.attributes)

    assert span.name == name
    assert f"{found['http.request.method']} {found['http.route']}" == name


@pytest.mark.parametrize(("path", "name"), [("completions", "text_completion"), ("embeddings", "embeddings")])
def test_an_operation_has_its_name_of_the_conventions_for_genai(
    path: str, name: str, wire: Wire, collector: Collector
) -> None:
    wire.ask("base", f"/v1/{path}").sends(ANSWER)
    close(wire)
    (span,) = collector.spans

    assert values(span.attributes)["gen_ai.operation.name"] == name


def test_vllm_continues_from_our_span(wire: Wire, collector: Collector) -> None:
    seen = wire.ask("base", "/v1/chat/completions", GIVEN)
    lines = re.findall(rb"(?im)^traceparent: (.*)\r$", seen.written)
    seen.sends(ANSWER)
    close(wire)
    (span,) = collector.spans

    assert lines == [f"00-{TRACE}-{span.span_id.hex()}-01".encode()]


def test_the_log_names_the_trace(wire: Wire) -> None:
    wire.ask("base", "/v1/chat/completions", GIVEN).sends(ANSWER)

    assert [line["trace_id"] for line in wire.outcomes()] == [TRACE]


def test_without_a_collector_a_clients_header_passes_as_it_came_and_nothing_is_kept() -> None:
    with playing() as wire:
        seen = wire.ask("base", "/v1/chat/completions", GIVEN)
        seen.sends(ANSWER)

        assert f"\r\n{GIVEN}\r\n".encode() in seen.written
        assert wire.generations.current.recorder.spans is None
        assert "trace_id" not in wire.outcomes()[0]


def test_a_client_that_does_not_sample_has_no_span(wire: Wire, collector: Collector) -> None:
    wire.ask("base", "/v1/chat/completions", f"{GIVEN[:-1]}0").sends(ANSWER)
    close(wire)

    assert collector.spans == []


def test_an_error_of_the_service_is_one_of_the_span_and_an_error_of_the_client_is_not(
    wire: Wire, collector: Collector
) -> None:
    wire.ask("base").sends(with_length(b"{}", "500 Internal Server Error"))
    wire.ask("base").sends(with_length(b"{}", "400 Bad Request"))
    close(wire)
    found = [(span.status.code, values(span.attributes).get("error.type")) for span in collector.spans]

    assert found == [(2, "500"), (0, None)]


def test_no_text_and_no_secret_is_in_a_span(wire: Wire, collector: Collector) -> None:
    wire.ask("MoM", "/v1/chat/completions", "Authorization: Bearer secret-of-a-client").sends(ANSWER)
    close(wire)
    (span,) = collector.spans

    assert b"Why?" not in span.SerializeToString()
    assert b"secret-of-a-client" not in span.SerializeToString()


def test_a_reload_that_leaves_the_options_keeps_the_thread_and_another_address_gets_its_own(wire: Wire) -> None:
    def exported() -> Spans | None:
        return wire.generations.current.recorder.spans

    before = exported()
    wire.reload()
    assert exported() is before
    wire._options = replace(wire._options, tracing=TracingOptions())
    wire.reload()
    assert exported() is None


# --- the queue ------------------------------------------------------------------------------------------------------


def ended(name: str = "x") -> Record:
    record = Record(name, "/v1/chat/completions", trace=Trace(1, 2, 0, sampled=True), status=200)
    record.end()
    return record


def test_what_does_not_fit_is_dropped_and_counted_and_no_request_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "HELD_SECONDS", 60.0)
    dropped: list[None] = []
    with collecting() as collector:
        made = Spans(TracingOptions(endpoint=collector.url), Log("info", Memory()), lambda: dropped.append(None))
        for _ in range(3000):
            made.end(ended())
        assert len(dropped) == 3000 - 2048
        made.close()
        assert len(collector.spans) == 2048


def test_a_span_is_sent_soon_not_only_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "HELD_SECONDS", 0.0)
    with collecting() as collector:
        made = Spans(TracingOptions(endpoint=collector.url), Log("info", Memory()), lambda: None)
        made.end(ended())
        asyncio.run(eventually(lambda: len(collector.spans) == 1, "it is sent"))
        made.close()


def test_a_collector_that_fails_is_told_once_and_so_is_that_it_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "HELD_SECONDS", 0.0)
    memory = Memory()
    dropped: list[None] = []
    with collecting() as collector:
        made = Spans(TracingOptions(endpoint=collector.url), Log("info", memory), lambda: dropped.append(None))
        collector.status = 400
        for _ in range(3):
            made.export([(ended(), Trace(1, 2, 0, sampled=True))])
        collector.status = 200
        made.export([(ended(), Trace(1, 2, 0, sampled=True))])
        made.close()
    lines = [json.loads(line) for line in memory.getvalue().splitlines()]

    assert [(line["level"], line["event"]) for line in lines] == [("warning", "tracing"), ("info", "tracing")]
    assert len(dropped) == 3


def test_no_name_is_longer_in_a_span_than_in_the_log() -> None:
    record = ended()
    record.original_model, record.error = "x" * 5000, "y" * 5000
    found = spans._attributes(record, "chat")

    assert len(str(found["gen_ai.request.model"])) <= 256
    assert len(str(found["pointsman.error"])) <= 1024


# --- the config -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("collector:4318", "write http:// or https://"),
        ("ftp://collector", "write http:// or https://"),
        ("http://me:secret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector:4318?x=1", "without spaces"),
    ],
)
def test_a_url_that_is_none_is_refused(given: str, fix: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, MINIMAL + f'pointsman: {{tracing: {{endpoint: "{given}"}}}}\n')

    assert "pointsman.tracing.endpoint" in str(refused.value)
    assert fix in str(refused.value)
    assert "secret" not in str(refused.value)


def test_without_the_extra_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spans, "installed", lambda: False)
    file = tmp_path / "config.yaml"
    file.write_text(MINIMAL + "pointsman: {tracing: {endpoint: 'http://127.0.0.1:4318'}}\n")
    with pytest.raises(CannotStart, match=r"install pointsman\[otel\]"):
        prepare(file)
