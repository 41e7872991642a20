"""What clients call their sessions."""

from __future__ import annotations

import json
from typing import Any

from pointsman.routing.body import read_fields
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import finish
from support.rows import rows


def session(body: dict[str, Any] | None = None, ids: SessionIds | None = None, **headers: Any) -> str:
    made = ids or SessionIds()
    fields = finish(read_fields(json.dumps(body or {}).encode(), made.fields))
    return made.find({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, fields)


@rows(
    "headers",
    [
        {"x_claude_code_session_id": "s"},
        {"session_id": "s"},
        {"x_opencode_session": "s", "x_session_affinity": "s"},
        {"x_kilocode_taskid": "s"},
        {"x_openwebui_chat_id": "s"},
        {"x_litellm_session_id": "s"},
    ],
)
def test_agents_and_front_ends_name_their_session_in_a_header(headers: dict[str, str]) -> None:
    assert session(None, None, **headers) == "s"


@rows(
    "body",
    [
        {"session_id": "s"},
        {"metadata": {"session_id": "s"}},
        {"metadata": {"sessionId": "s"}},
        {"conversation": "s"},
        {"conversation": {"id": "s"}},
    ],
)
def test_others_name_it_in_the_body(body: dict[str, Any]) -> None:
    assert session(body) == "s"


@rows(
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


def test_each_place_in_the_body_is_read() -> None:
    places = ("session_id", "chat_id", "conversation_id", "litellm_session_id")
    inside = ("session_id", "sessionId", "chat_id", "conversation_id")
    assert [session({place: "s"}) for place in places] == ["s"] * 4
    assert [session({"metadata": {place: "s"}}) for place in inside] == ["s"] * 4
