"""What clients call their sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.http1.request_head import read_head
from pointsman.routing.body import read_fields
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import finish


def session(body: dict[str, Any] | None = None, ids: SessionIds | None = None, **headers: Any) -> str:
    made = ids or SessionIds()
    fields = finish(read_fields(json.dumps(body or {}).encode(), made.fields))
    return made.find({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, fields)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("X-Claude-Code-Session-Id: 5f2c", "5f2c"),
        ("X-Claude-Code-Agent-Id: a7", "a7"),
        ("session_id: 5f2c", "5f2c"),  # Codex; later releases send the next one
        ("session-id: 5f2c", "5f2c"),
        ("thread-id: 5f2c", "5f2c"),
        ("conversation_id: 5f2c", "5f2c"),
        ("conversation-id: 5f2c", "5f2c"),
        ("x-opencode-session: ses_1", "ses_1"),
        ("x-session-affinity: ses_1", "ses_1"),
        ("X-KiloCode-TaskId: 5f2c", "5f2c"),
        ("X-Roo-Task-Id: 5f2c", "5f2c"),
        ("X-Task-ID: 5f2c", "5f2c"),
        ("X-Qwen-Code-Session-Id: 5f2c", "5f2c"),
        ("X-OpenWebUI-Chat-Id: 5f2c", "5f2c"),
        ("x-litellm-session-id: 5f2c", "5f2c"),
        ("X-Session-Id: 5f2c", "5f2c"),
        ("X-Conversation-Id: 5f2c", "5f2c"),
        ("X-Chat-Id: 5f2c", "5f2c"),
        ("X-OpenWebUI-User-Id: 5f2c", ""),
        ("X-Stainless-Retry-Count: 0", ""),
    ],
)
def test_agents_and_front_ends_name_their_session_in_a_header(field: str, names: str) -> None:
    """In the spelling of the client, and as the listener reads it."""
    head, _ = read_head(f"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n".encode())
    assert SessionIds().find(head.values, finish(read_fields(b"{}", ()))) == names


def test_one_name_in_two_headers_is_told_once() -> None:
    assert session(None, None, x_opencode_session="s", x_session_affinity="s") == "s"


@pytest.mark.parametrize(
    "body",
    [
        {"session_id": "s"},
        {"chat_id": "s"},
        {"conversation_id": "s"},
        {"litellm_session_id": "s"},
        {"metadata": {"session_id": "s"}},
        {"metadata": {"sessionId": "s"}},
        {"metadata": {"chat_id": "s"}},
        {"metadata": {"conversation_id": "s"}},
        {"conversation": "s"},
        {"conversation": {"id": "s"}},
    ],
)
def test_others_name_it_in_the_body(body: dict[str, Any]) -> None:
    assert session(body) == "s"


@pytest.mark.parametrize(
    "body",
    [
        {"user": "u"},
        {"prompt_cache_key": "k"},
        {"metadata": {"user_id": "u"}},
        {"metadata": None},
        {"metadata": 5, "session_id": ["s"]},
        {"metadata": {"session_id": "s", "x": "a" * 20_000}},
    ],
)
def test_a_person_a_part_of_a_cache_and_what_is_no_name_is_no_session(body: dict[str, Any]) -> None:
    assert session(body) == ""


def test_an_agent_within_a_session_is_another() -> None:
    main, agent = (
        session(x_claude_code_session_id="s"),
        session(x_claude_code_session_id="s", x_claude_code_agent_id="a"),
    )
    assert len({main, agent, session(x_claude_code_session_id="s", x_claude_code_agent_id="b")}) == 3


def test_the_config_adds_names() -> None:
    ids = SessionIds(["X-Our-Chat"], ["chat", "extra.thread"])
    assert session(ids=ids, x_our_chat="s") == "s"
    assert session({"chat": "s"}, ids) == session({"extra": {"thread": "s"}}, ids) == "s"
    assert session({"chat": "s"}) == ""


def test_a_name_of_any_length_is_cut() -> None:
    assert len(session({"session_id": "s" * 10_000}, x_session_id="t" * 8_000)) == 2 * 256 + 1
