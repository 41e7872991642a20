"""Collect the facts of one request for the log and the metrics."""

from __future__ import annotations

import time

import msgspec

from pointsman.classify.classification import Classification
from pointsman.observability.log_line import Line, cut, stamp
from pointsman.observability.trace import Trace
from pointsman.routing.ask import AskKind
from pointsman.routing.canaries import Arm
from pointsman.routing.opinion import Opinion
from pointsman.routing.router import RoutedRequest

# A client can name a model of any length, and errors quote clients and vLLM.
MAX_NAME_BYTES = 256
MAX_ERROR_BYTES = 1024


class Record(msgspec.Struct, gc=False):
    """The facts of one request, filled while it is processed; its end writes one log line and updates the metrics."""

    request_id: str
    path: str
    method: str = "POST"
    client: str = ""
    """The client's address; empty for a Unix socket."""
    issued: bool = False
    """True if the service, not the client, has made the request id."""
    key: str | None = None
    """The name of the client's key."""
    former_secret: bool = False
    """True if the client has sent the older of the key's two secrets."""
    trace: Trace | None = None
    """The request's position in a trace, if requests are traced."""
    started: float = msgspec.field(default_factory=time.perf_counter)
    original_model: str | None = None
    routed: RoutedRequest | None = None
    endpoint: str | None = None
    status: int = 0
    phase: str = "body"
    phases: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds by phase, for the phases reached so far."""
    first_byte: float | None = None
    """Seconds until the first byte of vLLM's body was sent to the client."""
    retried: list[dict[str, str]] | None = None
    tokens: tuple[int, int] | None = None
    error: str | None = None
    answered: float | None = None
    """Seconds from sending the request to vLLM until the first byte of the answer's body."""
    waited: float | None = None
    """Seconds from sending the request to vLLM until the client left before the first byte of an answer."""
    streamed: bool = False
    """True if vLLM answers with a stream, as far as it has begun to answer."""
    sent_bytes: int = 0
    """The bytes of the body that vLLM got."""
    in_flight: int = 1
    """The requests in flight at the endpoint when this one was sent, this one included."""
    failed: bool = False
    """True if vLLM, or the model, is to blame for the client's answer."""
    seconds: float = 0.0
    """Duration of the whole request, set at its end."""
    shadow: Opinion | None = None
    """The decision that the classifier in shadow would have made, once it has read the text."""
    ended: float = 0.0
    """The end of the request, in seconds since the epoch."""

    def decided(self, routed: RoutedRequest) -> None:
        """Record the decision."""
        self.routed = routed
        self.phases = routed.phases()

    def end(self) -> None:
        """Take the time, and release the body: the request is counted and logged later, together with others."""
        self.seconds = time.perf_counter() - self.started
        self.ended = time.time()
        self.drop_body()

    def drop_body(self) -> None:
        """Release the edited body and the parts of the decision that show the client's."""
        routed = self.routed
        if routed is not None:
            routed.edited.drop_body()

    def server_timing(self) -> str:
        """Return the value of the `Server-Timing` header, durations in milliseconds."""
        return ", ".join([f"{name};dur={seconds * 1000:.3f}" for name, seconds in self.phases.items()])


def request_line(record: Record) -> Line:
    """Return the log line of a request that has ended; unknown fields are omitted."""
    line: Line = {
        "ts": stamp(record.ended),
        "level": "info",
        "event": "request" if record.routed is None else "routing_decision",
        "request_id": record.request_id,
        "path": record.path,
        "status": record.status,
    }
    _add_request(line, record)
    if record.endpoint is not None:
        line["endpoint"] = record.endpoint
    if record.error is not None:
        line["error"] = cut(record.error, MAX_ERROR_BYTES)
    if record.retried is not None:
        line["retried"] = record.retried
    if record.routed is not None:
        _add_decision(line, record.routed)
        if record.shadow is not None:
            line["shadow"] = record.shadow
    if record.tokens is not None:
        line["prompt_tokens"], line["completion_tokens"] = record.tokens
    if record.status == 499:
        line["left_in"] = record.phase
    line["ms"] = _milliseconds(record, first_byte="arm" in line)
    return line


def _milliseconds(record: Record, *, first_byte: bool) -> dict[str, float]:
    # Three decimals; `round` takes three times as long.
    taken = {name: int(seconds * 1e6 + 0.5) / 1000 for name, seconds in record.phases.items()}
    if first_byte and record.first_byte is not None:
        taken["first_byte"] = int(record.first_byte * 1e6 + 0.5) / 1000
    taken["total"] = int(record.seconds * 1e6 + 0.5) / 1000
    return taken


def _add_request(line: Line, record: Record) -> None:
    if record.client:
        line["client"] = record.client
    if record.key is not None:
        line["key"] = record.key
    if record.former_secret:
        line["old_secret"] = True
    if record.trace is not None:
        line["trace_id"] = record.trace.name
    if record.original_model is not None:
        line["original_model"] = cut(record.original_model, MAX_NAME_BYTES)


def _add_decision(line: Line, routed: RoutedRequest) -> None:
    decision = routed.decision
    line["selected_model"] = cut(decision.model, MAX_NAME_BYTES)
    if decision.category is not None:
        line["category"] = decision.category
    if decision.confidence is not None:
        line["confidence"] = round(decision.confidence, 4)
    line["reason"] = decision.reason
    _add_threshold(line, routed)
    if decision.arm is not None:
        _add_experiment(line, decision.arm, routed)
    if decision.rule is not None:
        line["rule"] = decision.rule
    if decision.would is not None:
        line["would"] = decision.would
    edited = routed.edited
    if edited.reasoning is not None:
        line["reasoning"] = edited.reasoning
    if edited.changed:
        line["edited"] = edited.changed
        if (mode := routed.system_prompt) is not None:
            line["system_prompt"] = mode
    _add_ask(line, routed)


def _add_threshold(line: Line, routed: RoutedRequest) -> None:
    if (threshold := routed.threshold) is not None:
        line["threshold"], line["threshold_origin"] = threshold
    if routed.decision.missed is not None:
        line["missed"] = routed.decision.missed
    if routed.near is not None:
        line["near"] = routed.near


def _add_experiment(line: Line, arm: Arm, routed: RoutedRequest) -> None:
    line["arm"] = arm
    line["draw"] = draw_of(routed)


def draw_of(routed: RoutedRequest) -> str | None:
    """Return the identity of the conversation that was drawn, or None if it is on several arms."""
    remembered = routed.remembered
    return None if remembered is None or remembered.mixed else _number(remembered.share)


def _number(share: float) -> str:
    return f"{int(share * 2**48):012x}"


def _add_ask(line: Line, routed: RoutedRequest) -> None:
    if routed.remembered is not None and routed.recalled is not None:
        line["conversation"], line["turn"] = _number(routed.remembered.share), routed.recalled.turns
    if routed.ask.kind not in (AskKind.MESSAGE, AskKind.NONE):
        line["ask"] = routed.ask.kind
    if routed.ask.steps:
        line["ask_spans"] = [[step.what, step.start, step.end] for step in routed.ask.steps]
    if (follow_up := routed.reading.follow_up) is not None and follow_up.together is not None:
        line["together"] = round(follow_up.together, 4)
    if (found := routed.reading.classification) is not None:
        _add_classification(line, routed, found)


def _add_classification(line: Line, routed: RoutedRequest, found: Classification) -> None:
    line["text_hash"] = found.text_hash
    if routed.reading.by_material:
        line["by_material"] = True
    if routed.reading.by_line:
        line["by_line"] = True
    if not found.supported:
        line["language"] = found.language
