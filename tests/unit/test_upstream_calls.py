"""What is asked of a vLLM beside the clients' requests: its models, its health, its adapters. No sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.errors import CannotStart, UpstreamBroken, UpstreamError, UpstreamTimeout
from pointsman.upstream import client
from pointsman.upstream.endpoint_state import EndpointState
from pointsman.upstream.pool import ConnectionPool
from pointsman.upstream.vllm_admin import LoraApi, words
from support.playbook import with_length
from support.virtual_loop import Factory, FakeTransport, VirtualLoop

A = Endpoint(name="a", address="127.0.0.1", port=8000)
KEY = b"Authorization: Bearer sk\r\n"


class Question:
    """A call that waits for vLLM's answer, which the test gives."""

    def __init__(self, clock: VirtualLoop, ask: Callable[[EndpointState], Awaitable[Any]]) -> None:
        self._clock = clock
        clock.dial = self._dial

        async def asked() -> Any:
            return await ask(EndpointState(A, RelayOptions()))

        self.task: asyncio.Task[Any] = clock.do(lambda: clock.create_task(asked()))

    async def _dial(self, port: int, make: Factory) -> tuple[FakeTransport, asyncio.BaseProtocol]:
        assert port == 8000
        protocol = make()
        self.vllm = FakeTransport(self._clock, protocol)
        protocol.connection_made(self.vllm)
        return self.vllm, protocol

    @property
    def request(self) -> tuple[list[bytes], bytes]:
        """The lines of its head, and its body."""
        head, _, body = self.vllm.written.partition(b"\r\n\r\n")
        return head.split(b"\r\n"), body

    def after(self, answer: bytes) -> Any:
        """What the call returns or raises."""
        self.vllm.sends(answer)
        return self.task.result()


def administering(clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[Any]], key_line: bytes = b"") -> Question:
    return Question(clock, lambda state: act(LoraApi({"a": state}, key_line)))


def load(api: LoraApi) -> Awaitable[None]:
    return api.load(A, "legal-lora", "/adapters/legal")


def unload(api: LoraApi) -> Awaitable[None]:
    return api.unload(A, "legal-lora")


def probe(api: LoraApi) -> Awaitable[None]:
    return api.probe(A, "legal-lora")


# --- models -------------------------------------------------------------------------------------------------------


def test_a_question_is_a_get_with_the_key_on_a_connection_of_its_own(clock: VirtualLoop) -> None:
    asked = Question(clock, lambda state: client.models(state, KEY))
    assert asked.request == ([b"GET /v1/models HTTP/1.1", b"Host: 127.0.0.1:8000", KEY.strip()], b"")
    assert asked.after(with_length(b'{"data": []}')) == b'{"data": []}'
    assert asked.vllm.aborted


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_an_answer_may_be_framed_as_http_allows(clock: VirtualLoop, answer: bytes) -> None:
    assert Question(clock, lambda state: client.models(state, b"")).after(answer) == b"{}"


def test_an_answer_may_end_with_its_connection(clock: VirtualLoop) -> None:
    asked = Question(clock, lambda state: client.models(state, b""))
    asked.vllm.sends(b"HTTP/1.1 200 OK\r\n\r\n{}")
    asked.vllm.ends()
    assert asked.task.result() == b"{}"


@pytest.mark.parametrize(
    ("key_line", "expected"), [(b"", "wants the key of vLLM's --api-key"), (KEY, "refuses the key")]
)
def test_a_401_says_what_to_do_about_the_key(clock: VirtualLoop, key_line: bytes, expected: str) -> None:
    with pytest.raises(UpstreamError, match=expected):
        Question(clock, lambda state: client.models(state, key_line)).after(with_length(b"{}", "401 Unauthorized"))


@pytest.mark.parametrize("status", ["402 Payment Required", "500 Internal Server Error", "204 No Content"])
def test_any_other_status_is_no_list(clock: VirtualLoop, status: str) -> None:
    with pytest.raises(UpstreamError, match=f"with status {status[:3]}"):
        Question(clock, lambda state: client.models(state, b"")).after(with_length(b"", status))


@pytest.mark.parametrize("size", [8 * 2**20, 8 * 2**20 + 1])
def test_an_answer_has_8_mib(clock: VirtualLoop, size: int) -> None:
    asked = Question(clock, lambda state: client.models(state, b""))
    asked.vllm.sends(with_length(b"x" * (size - 1), length=size))
    if size > 8 * 2**20:
        with pytest.raises(UpstreamError, match="more than 8388608 bytes"):
            asked.after(b"x")
    else:
        assert len(asked.after(b"x")) == size


def test_an_answer_has_five_seconds(clock: VirtualLoop) -> None:
    asked = Question(clock, lambda state: client.models(state, b""))
    asked.vllm.sends(with_length(b"{", length=2))
    clock.advance(4.75)
    assert not asked.task.done()
    clock.advance(0.25)
    assert isinstance(asked.task.exception(), UpstreamTimeout)
    assert asked.vllm.aborted


def test_an_answer_that_breaks_off_is_none(clock: VirtualLoop) -> None:
    asked = Question(clock, lambda state: client.models(state, b""))
    asked.vllm.sends(with_length(b"{", length=2))
    asked.vllm.ends()
    assert isinstance(asked.task.exception(), UpstreamBroken)


# --- health -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "wrong"),
    [
        ("200 OK", None),
        ("404 Not Found", None),
        ("499 Odd", None),
        ("500 Internal Server Error", "`/health` answers with status 500"),
        ("503 Service Unavailable", "`/health` answers with status 503"),
    ],
)
def test_any_answer_but_a_server_error_is_good_health(clock: VirtualLoop, status: str, wrong: str | None) -> None:
    asked = Question(clock, lambda state: client.health(state, KEY))
    assert asked.request[0] == [b"GET /health HTTP/1.1", b"Host: 127.0.0.1:8000", KEY.strip()]
    assert asked.after(with_length(b"", status)) == wrong


def test_silence_is_bad_health(clock: VirtualLoop) -> None:
    asked = Question(clock, lambda state: client.health(state, b""))
    clock.advance(5.0)
    assert asked.task.result() == "endpoint a does not answer `/health`"


# --- adapters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "path", "body"),
    [
        (load, "/v1/load_lora_adapter", {"lora_name": "legal-lora", "lora_path": "/adapters/legal"}),
        (unload, "/v1/unload_lora_adapter", {"lora_name": "legal-lora"}),
        (probe, "/v1/completions", {"model": "legal-lora", "prompt": "Hello", "max_tokens": 1}),
    ],
)
def test_vllm_is_asked_as_it_wants_to_be(
    clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]], path: str, body: dict[str, Any]
) -> None:
    asked = administering(clock, act, KEY)
    lines, sent = asked.request
    assert lines == [
        f"POST {path} HTTP/1.1".encode(),
        b"Host: 127.0.0.1:8000",
        KEY.strip(),
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(sent),
    ]
    assert json.loads(sent) == body
    assert asked.after(with_length(b"Success")) is None


def test_an_adapter_that_is_loaded_already_is_loaded(clock: VirtualLoop) -> None:
    said = b'{"error": {"message": "The lora adapter `legal-lora` has already been loaded."}}'
    assert administering(clock, load).after(with_length(said, "400 Bad Request")) is None


@pytest.mark.parametrize("act", [load, unload])
def test_vllms_own_words_are_told(clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]]) -> None:
    said = b'{"error": {"message": "No adapter found"}}'
    with pytest.raises(UpstreamError, match=r"^No adapter found$"):
        administering(clock, act).after(with_length(said, "404 Not Found"))


@pytest.mark.parametrize("act", [load, unload])
def test_a_vllm_without_these_paths_says_how_to_switch_them_on(
    clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]]
) -> None:
    with pytest.raises(UpstreamError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        administering(clock, act).after(with_length(b'{"detail": "Not Found"}', "404 Not Found"))


@pytest.mark.parametrize("status", ["500 Internal Server Error", "400 Bad Request"])
@pytest.mark.parametrize("act", [load, unload, probe])
def test_any_other_status_is_a_failure(
    clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]], status: str
) -> None:
    with pytest.raises(UpstreamError, match=f"vLLM answers with status {status[:3]}"):
        administering(clock, act).after(with_length(b"", status))


@pytest.mark.parametrize("act", [load, unload, probe])
def test_a_401_is_explained_here_too(clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]]) -> None:
    with pytest.raises(UpstreamError, match="wants the key of vLLM's --api-key"):
        administering(clock, act).after(with_length(b"", "401 Unauthorized"))


@pytest.mark.parametrize(("act", "seconds"), [(load, 120.0), (unload, 120.0), (probe, 60.0)])
def test_each_has_its_time(clock: VirtualLoop, act: Callable[[LoraApi], Awaitable[None]], seconds: float) -> None:
    asked = administering(clock, act)
    clock.advance(seconds - 0.25)
    assert not asked.task.done()
    clock.advance(0.25)
    assert isinstance(asked.task.exception(), UpstreamTimeout)


# --- the key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["sk-1", "sk-1\n", "  sk-1\r\n"])
def test_a_key_file_holds_one_key(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_bytes(content.encode())
    assert client.read_key(str(tmp_path / "key")) == b"Authorization: Bearer sk-1\r\n"


def test_without_a_key_file_there_is_no_key() -> None:
    assert client.read_key(None) == b""


@pytest.mark.parametrize("content", ["", " \n", "sk-\x07", "sk\nsk", "schlüssel"])
def test_what_is_no_key_is_refused_by_the_name_of_its_option(tmp_path: Path, content: str) -> None:
    """It would be a header of its own, or none that vLLM can read."""
    (tmp_path / "key").write_text(content, "utf-8")
    with pytest.raises(CannotStart, match=r"^pointsman\.relay\.api_key_file: .*key holds no key"):
        client.read_key(str(tmp_path / "key"))


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"^pointsman\.relay\.api_key_file: .*key cannot be read \(No such file"):
        client.read_key(str(tmp_path / "key"))
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotStart, match="not UTF-8"):
        client.read_key(str(tmp_path / "key"))


def test_no_request_gets_the_connection_of_a_question(clock: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is closed as soon as it is answered."""
    reusable: list[object] = []
    monkeypatch.setattr(ConnectionPool, "put", lambda _, connection: reusable.append(connection))
    asked = Question(clock, lambda state: client.models(state, b""))
    assert asked.after(with_length(b"{}")) == b"{}"
    assert reusable == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"\xffoops", "\N{REPLACEMENT CHARACTER}oops"),
        (b"x" * 301, "x" * 300),
        (b"two\n  lines\x07", "two lines?"),
        (b'{"detail": "why"}', "why"),
        (b"[1]", "vLLM answers with status 500"),
    ],
)
def test_what_vllm_says_is_fit_for_a_line_of_the_log(said: bytes, expected: str) -> None:
    assert words(500, said) == expected
