"""Bodies of random JSON in all formats: none is a fault, and an edit changes only what it names, as `json` reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from pointsman.errors import RequestError
from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, ROUTED, Format
from pointsman.routing.ask import AskFinder
from pointsman.routing.body import FIELDS, fields_in_steps, read_fields
from pointsman.routing.conversation_keys import Caller, conversation_of
from pointsman.routing.edits import Edits, ReasoningEdit, SystemPrompt
from pointsman.routing.history import HistoryReader
from pointsman.routing.parsed_request import ParsedRequest, read_request
from pointsman.routing.response_storage import storage_of
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import finish

SESSIONS = SessionIds()
NAMES = tuple(dict.fromkeys((*FIELDS, *SESSIONS.fields, "previous_response_id", "request_id", "store")))
WORDS = [
    *('""', '"a"', '"auto"', '"MoM"', '"What is a tort?"', r'"\u0000"', r'"\ud800"', r'"\udc00x"', r'"\ud83d\ude00"'),
    *('"\u202e\u0301 \u05d0"', r'"\"auto\""', r'"\\"', r'"\"model\":\"auto\""', '"system"', '"user"', '"assistant"'),
    *(
        '"developer"',
        '"tool"',
        '"null"',
        '"<think>x</think>y"',
        '"  "',
        r'"\n"',
        '"}"',
        '"]"',
        '"[{"',
        f'"{"x" * 3000}"',
    ),
]
NUMBERS = ["null", "true", "false", "0", "-0.0", "1E400", "12345678901234567890123", "0.10", "NaN", "-Infinity"]
INSIDE = ["role", "content", "text", "type", "image_url", "tool_calls", "id", "enable_thinking", "effort", "stream", ""]
ROLES = [
    '"user"',
    '"user"',
    '"assistant"',
    '"system"',
    '"developer"',
    '"tool"',
    "null",
    "5",
    r'"us\u0065r"',
    '["user"]',
]
REPLACE, INSERT = SystemPrompt('Be a "judge".\n\u00e9', "replace"), SystemPrompt("Be brief.", "insert")
EFFORT = ReasoningEdit("reasoning_effort", "reasoning_effort", "high")
EDITS = [
    Edits("law-lora"),
    Edits("law", ReasoningEdit("chat_template_kwargs", "enable_thinking", "high"), INSERT),
    Edits("auto", ReasoningEdit("chat_template_kwargs", "enable_thinking", None), REPLACE),
    Edits(None, EFFORT, REPLACE),
]


class Maker:
    """Makes JSON text with odd spelling, white space, duplicate keys and values of wrong types."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def body(self) -> str:
        members = [("model", self._one(['"auto"', '"MoM"', "null", '""', '"x"', "5"])) for _ in range(self._few())]
        lists = [(name, self._messages()) for name in ("messages", "input", "prompt") if self._random.random() < 0.6]
        others = [(self._one(NAMES), self.value()) for _ in range(self._few(6))]
        prompts = [(name, self._content()) for name in ("system", "instructions") if self._random.random() < 0.3]
        members += lists + others + prompts
        self._random.shuffle(members)
        return self._space() + self._object(members) + self._space()

    def value(self, depth: int = 0) -> str:
        kind = self._random.random()
        if kind < 0.45 or depth > 5:
            return self._one(WORDS)
        if kind < 0.6:
            return self._one(NUMBERS)
        if kind < 0.8:
            return self._list(self.value(depth + 1) for _ in range(self._few()))
        return self._object([(self._one((*INSIDE, *NAMES)), self.value(depth + 1)) for _ in range(self._few())])

    def _messages(self) -> str:
        return self._list(self._message() for _ in range(self._few(6))) if self._random.random() < 0.9 else self.value()

    def _message(self) -> str:
        if self._random.random() < 0.1:
            return self.value()
        members = [("role", self._one(ROLES)), ("content", self._content())]
        members += [(self._one(INSIDE), self.value(3)) for _ in range(self._few(2))]
        self._random.shuffle(members)
        return self._object(members[self._few(2) // 2 :])

    def _content(self) -> str:
        return self._list(self._part() for _ in range(self._few(4))) if self._random.random() < 0.5 else self.value()

    def _part(self) -> str:
        named = [("type", self._one(['"text"', '"tool_result"', '"image_url"'])), ("text", self.value(4))]
        return self._object(named) if self._random.random() < 0.6 else self.value()

    def _list(self, values: Iterable[str]) -> str:
        return f"[{self._space()}{f'{self._space()},{self._space()}'.join(values)}{self._space()}]"

    def _object(self, members: list[tuple[str, str]]) -> str:
        spelled = [f"{self._key(name)}{self._space()}:{self._space()}{value}" for name, value in members]
        return "{" + self._list(spelled)[1:-1] + "}"

    def _key(self, name: str) -> str:
        odd = name and self._random.random() < 0.05
        return f'"\\u{ord(name[0]):04x}{name[1:]}"' if odd else json.dumps(name)

    def _space(self) -> str:
        return self._one(["", "", "", "", "", "", " ", "\n", "\t\r\n "])

    def _few(self, max_count: int = 3) -> int:
        return self._random.randrange(max_count + 1)

    def _one(self, options: Sequence[str]) -> str:
        return self._random.choice(options)


def expected(api: Format, body: dict[str, Any], edits: Edits) -> dict[str, Any]:
    """The object after edits, made without the code that is tested."""
    changed = dict(body)
    if edits.model is not None and edits.model != (body.get("model") or None):
        changed["model"] = edits.model
    reasoning, prompt = edits.reasoning, edits.system_prompt
    if reasoning is not None and reasoning.type == "chat_template_kwargs" and api is not COMPLETIONS:
        _set(changed, "chat_template_kwargs", reasoning.parameter, reasoning.on)
    if reasoning is EFFORT and api is RESPONSES:
        _set(changed, "reasoning", "effort", "high")
    if reasoning is EFFORT and api is CHAT and body.get("reasoning_effort") is None:
        changed["reasoning_effort"] = "high"
    field = {MESSAGES: "system", RESPONSES: "instructions"}.get(api)
    if prompt is not None and field is not None:
        changed[field] = _prompted(body.get(field), prompt)
    messages = body.get("messages")
    if prompt is not None and api is CHAT and isinstance(messages, list) and messages:
        first = messages[0]
        if isinstance(first, dict) and first.get("role") in ("system", "developer"):
            changed["messages"] = [first | {"content": _prompted(first.get("content"), prompt)}, *messages[1:]]
        else:
            changed["messages"] = [{"role": "system", "content": prompt.text}, *messages]
    return changed


def _set(body: dict[str, Any], field: str, key: str, value: Any) -> None:
    given = body.get(field)
    if given is None or (isinstance(given, dict) and given.get(key) is None):
        body[field] = (given or {}) | {key: value}


def _prompted(theirs: Any, prompt: SystemPrompt) -> Any:
    if prompt.mode == "insert" and theirs and isinstance(theirs, str):
        return f"{prompt.text}\n\n{theirs}"
    if prompt.mode == "insert" and theirs and isinstance(theirs, list):
        return [{"type": "text", "text": f"{prompt.text}\n\n"}, *theirs]
    return prompt.text


def parsed(api: Format, body: bytes, *, at_once: bool) -> ParsedRequest:
    fields = finish((read_fields if at_once else fields_in_steps)(body, NAMES))
    request = finish(read_request(api, fields, AskFinder()))
    history = finish(HistoryReader(AskFinder()).read(request.messages, request.ask, request.asked))
    conversation_of(history, Caller("c", SESSIONS.find({b"x-session-id": b"\xff" * 8000}, fields)))
    return request


def spelled(value: Any) -> str:
    """A form in which NaN equals itself, and 0 is not false."""
    return json.dumps(value, sort_keys=True)


def forms() -> Iterable[tuple[Format, bool]]:
    return [(api, at_once) for api in ROUTED for at_once in (True, False)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2, 3))])
def test_any_object_is_read_and_edited_in_place(seed: int) -> None:
    maker, refusals = Maker(seed), set[str]()
    for _ in range(25):
        body = maker.body().encode()
        for api, at_once in forms():
            try:
                request = parsed(api, body, at_once=at_once)
            except RequestError as error:
                refusals.add(error.code)
                continue
            for edits in EDITS:
                changed = json.loads(bytes(request.apply(edits).body))
                assert spelled(changed) == spelled(expected(api, json.loads(body), edits)), (api, edits, body)
    assert refusals <= {"invalid_type"}, "only a model that is no string is refused"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_cut_off_or_no_text_is_the_clients_fault(seed: int) -> None:
    statuses: set[int] = set()
    maker, draw = Maker(100 + seed), random.Random(seed)  # noqa: S311
    damages: list[Callable[[bytes], bytes]] = [
        lambda body: body[: draw.randrange(len(body))],
        lambda body: body.replace(b"e", b"\xff", 1),
        lambda body: body.replace(b'"', b"", 1),
    ]
    for _ in range(50):
        body = draw.choice(damages)(maker.body().encode())
        for api, at_once in forms():
            try:
                storage_of(parsed(api, body, at_once=at_once).fields)
            except RequestError as error:
                statuses.add(error.status)
    assert statuses == {400}
