"""Histories that a client has replaced by a summary, in the forms of real clients; the words are our own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.formats import CHAT, MESSAGES, RESPONSES, Format
from pointsman.routing.conversation_keys import Caller
from pointsman.routing.decision import Reason
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.sender import Sender
from support.toy_config import config

ME = Caller("me", "session-1")
CLAUDE_CODE = """\
This session is being continued from a previous conversation that no longer fitted. What went before, in short:

Analysis:
The user wrote to the landlord and came back to the loop afterwards.

Summary:
1. Primary Request and Intent:
   - a loop that ends
2. Files and Code Sections:
   - loop.py, with a comment on the landlord
3. All user messages:
   - "why does it never end?"
4. Pending Tasks:
   - tell the landlord
5. Current Work:
   The loop ends now.
"""
CARRY_ON = "\nGo on with the last task where you left it, and put no further questions to the user."
CODEX = """\
Another language model started to solve this problem and left notes of what it thought. Build on its work:

The landlord was mentioned in loop.py. The loop ends now, and the tests are still to be written.
"""
AIDER = "I spoke to you previously about a number of things.\n\n# *summary*\nThe landlord was mentioned, and a loop."
GEMINI = """\
<state_snapshot>
    <overall_goal>A loop that ends, and a letter to the landlord.</overall_goal>
    <key_knowledge>- the landlord is mentioned in loop.py</key_knowledge>
    <current_plan>1. [DONE] the loop 2. [TODO] the tests</current_plan>
</state_snapshot>
"""
CLINE = "[NOTE] Some of the talk with the user was taken out, so that the context is not too long."
OPENHANDS = "<CONVERSATION SUMMARY>\nUSER_CONTEXT: a loop, and the landlord\nPENDING: tests\n</CONVERSATION SUMMARY>"
OPENCODE = "What did we do so far?"
NEW = "Does python have a landlord?"  # as much about the one as about the other


def user(*texts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


async def send(router: Router, *messages: Any, api: Format = CHAT, caller: Caller = ME, **fields: Any) -> RoutedRequest:
    body = {"model": "MoM", api.prompt_field: messages, **fields}
    return await router.route(parse_request(api, json.dumps(body).encode()), Sender(caller))


async def begin(router: Router, caller: Caller = ME) -> None:
    """The session is about Python before it is compacted."""
    await send(router, user("Why does this python loop never end?"), caller=caller, tools=[{"type": "function"}])


def item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.parametrize("summary", [CLAUDE_CODE, GEMINI, OPENHANDS])
async def test_behind_a_summary_in_one_message_the_new_ask_decides(classifier: Classifier, summary: str) -> None:
    """It begins afresh: an opener alone is never an identity. The turns behind it go on with it."""
    router = Router(config(), classifier, ServedModels)
    await begin(router)
    message = user(summary, "How do I write a python test for this?")
    routed = await send(router, message, api=MESSAGES)
    assert routed.text == "How do I write a python test for this?"
    assert (routed.decision.category, routed.decision.reason) == ("technical", Reason.CLASSIFIED)
    later = await send(router, message, said("With pytest."), user(NEW), api=MESSAGES)
    assert (later.decision.category, later.decision.reason) == ("technical", Reason.STICKY)
    assert (await send(router, user(summary, NEW), api=MESSAGES)).decision.category is None


@pytest.mark.parametrize("summary", [CLAUDE_CODE + CARRY_ON, GEMINI, OPENHANDS])
async def test_a_summary_alone_begins_afresh_too(classifier: Classifier, summary: str) -> None:
    """Within a task: nobody but the summary says what that is about, so it is read as it is."""
    router = Router(config(), classifier, ServedModels)
    await begin(router)
    routed = await send(router, user(summary), api=MESSAGES, tools=[{"name": "Bash"}])
    assert (routed.decision.category, routed.decision.reason) == ("legal", Reason.CLASSIFIED)
    assert routed.recalled is None or routed.recalled.remembered is None


FIRST, DONE = "Why does this loop never end?", said("The loop ends now.")
COMPACTED = [
    pytest.param(CHAT, [user(AIDER), said("Ok."), user(NEW)], id="aider"),
    pytest.param(CHAT, [user(GEMINI), said("Thanks for that."), user("Go on."), DONE, user(NEW)], id="Gemini CLI"),
    pytest.param(CHAT, [user(OPENCODE), said("A loop, and a letter to the landlord."), user(NEW)], id="OpenCode"),
    pytest.param(CHAT, [user(f"<task>\n{FIRST}\n</task>"), said(CLINE), user(NEW)], id="Cline"),
    pytest.param(CHAT, [user(FIRST), user(OPENHANDS), DONE, user(NEW)], id="OpenHands"),
    pytest.param(MESSAGES, [user(CLAUDE_CODE), DONE, user(NEW)], id="Claude Code"),
    pytest.param(RESPONSES, [item(FIRST), item(CODEX), item(NEW)], id="Codex"),
]


@pytest.mark.parametrize(("api", "messages"), COMPACTED)
async def test_with_earlier_turns_the_session_tells_what_it_was_about(
    router: Router, api: Format, messages: list[Any]
) -> None:
    await begin(router)
    compacted = await send(router, *messages, api=api)
    assert (compacted.decision.category, compacted.decision.reason) == ("technical", Reason.STICKY)


@pytest.mark.parametrize(("api", "messages"), COMPACTED)
async def test_nobody_inherits_from_the_same_summary(router: Router, api: Format, messages: list[Any]) -> None:
    """In another session, or of another client."""
    await begin(router)
    for caller in (Caller("me", "session-2"), Caller("them", "session-1"), Caller("me")):
        routed = await send(router, *messages, api=api, caller=caller)
        assert routed.decision.category != "technical"
        assert routed.recalled is None or routed.recalled.remembered is None
