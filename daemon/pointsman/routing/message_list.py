"""Read lists of messages with role and content, which three formats share; pure, in steps."""

from __future__ import annotations

import msgspec
from msgspec.json import Decoder

from pointsman.routing import json_scan
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind, ScanBudget
from pointsman.routing.body import (
    ABSENT,
    AT_ONCE,
    SYSTEM_ROLES,
    Message,
    ScannedMessage,
    Value,
    decode,
    has_many_objects,
    kind,
    view,
)
from pointsman.routing.json_scan import ByteSpan, JsonError
from pointsman.routing.prompt_text import (
    END_BYTES,
    LIST_AT_ONCE,
    MAX_PARTS,
    TooManyParts,
    beginning_bytes,
    beginning_of,
    read_bytes,
    texts_of,
)
from pointsman.routing.steps import Steps, TimeSlice, time_sliced

# A system prompt is among the first messages.
_OPENING = 64
_LONG = 4096
# The first prompts of a request tell what it is about, and it may have any number.
MAX_PROMPTS = 8

_MESSAGE = Decoder(Message)
_MESSAGES = Decoder(list[Message])
_STRING = Decoder(str)


def read_messages(value: Value | None) -> Steps[list[Message] | None]:
    """Return the messages of a list, or None for any other value; raises TooManyParts.

    A value in the list that is not a message counts as one without role and content.
    """
    if value is None or kind(value) != b"[":
        return None
    shown = memoryview(value)
    if shown.nbytes <= AT_ONCE and not has_many_objects(bytes(shown)):
        messages: list[Message] | None = decode(value, None, _MESSAGES)
        if messages is not None:
            return counted(messages)
    try:
        spans = yield from json_scan.elements(shown, ByteSpan(0, shown.nbytes), MAX_PARTS)
        if spans is None:
            raise TooManyParts
        found: list[Message] = []
        for span in spans:
            found.append((yield from _message(shown, span)))
            yield
    except JsonError:
        return []
    return found


def counted(messages: list[Message]) -> list[Message]:
    """Return the messages; raises TooManyParts if there are too many."""
    if len(messages) > MAX_PARTS:
        raise TooManyParts
    return messages


def _message(array: memoryview, span: ByteSpan) -> Steps[Message]:
    if span.end - span.start <= LIST_AT_ONCE:
        message: Message | None = decode(view(array, span), None, _MESSAGE)
        if message is not None:
            return message
    found = (yield from json_scan.members(array, ("role", "content"), span)) or {}
    role = found.get("role", ByteSpan(0, 0))
    content = found.get("content", ByteSpan(0, 0))
    return ScannedMessage(
        decode(view(array, role), None, _STRING) if role.end - role.start < _LONG else None,
        view(array, content) if "content" in found else ABSENT,
        content.start,
    )


def read_ask(messages: list[Message], system: Value | None, finder: AskFinder) -> Steps[tuple[Ask, Message | None]]:
    """Return the person's last ask, and the message in which it was found, if any; raises TooManyParts.

    `system` is the system prompt of a format that does not have it among the messages.
    """
    if finder.mode == "all":
        return (yield from _all(messages)), None
    system = _system(messages, system)
    frame = beginning_bytes(system)
    first: list[str] = []
    scan_budget: ScanBudget | None = None
    time_slice: TimeSlice | None = None
    for message in reversed(messages):
        if message.role != "user":
            continue
        # The last message may be written by a harness or a tool: then the ask is in an earlier one.
        content, texts = message.content, None
        said: bytes | tuple[str, ...] | None = read_bytes(content)
        if said is None:
            texts = yield from texts_of(content)
            said = tuple(texts)
        ask = finder.recall(said, frame)
        if ask is not None and ask.kind is not AskKind.NONE:
            return ask, message
        texts = (yield from texts_of(content)) if texts is None else texts
        if scan_budget is not None and not scan_budget.take(texts):
            break
        if ask is None:
            ask = yield from time_sliced(finder.search(texts, (yield from beginning_of(system))))
            finder.remember(said, frame, ask)
        if ask.kind is not AskKind.NONE:
            return ask, message
        first = first or texts
        if first:
            frame, system = b"", None
        scan_budget, time_slice = scan_budget or ScanBudget(), time_slice or TimeSlice()
        yield from time_slice.pause()
    return finder.whole(first), None


def read_prompts(value: Value | None, finder: AskFinder) -> Steps[tuple[Ask, int]]:
    """Return the ask of a prompt, with the asks of further prompts as its `others`, and the number of prompts read."""
    prompts = yield from texts_of(value)
    asks: list[Ask] = []
    time_slice = TimeSlice()
    for prompt in list(dict.fromkeys(prompts))[:MAX_PROMPTS]:
        ask = finder.recall((prompt,), b"")
        if ask is None:
            ask = yield from time_sliced(finder.search([prompt]))
            finder.remember((prompt,), b"", ask)
        asks.append(finder.whole([prompt]) if ask.kind is AskKind.NONE else ask)  # nothing was said before it
        yield from time_slice.pause()
    asks = asks or [NO_ASK]
    first = asks[0]
    others = [*first.others, *(ask.text for ask in asks[1:])]
    asked = msgspec.structs.replace(first, others=tuple(text for text in dict.fromkeys(others) if text != first.text))
    return asked, len(asks)


def _all(messages: list[Message]) -> Steps[Ask]:
    """Return the text of all messages."""
    texts: list[str] = []
    room = 2 * END_BYTES
    for message in messages:
        texts += yield from texts_of(message.content)
        if (room := room - memoryview(message.content).nbytes) < 0:
            break
        if memoryview(message.content).nbytes > _LONG:
            yield
    text = " ".join(texts)
    return Ask(text, AskKind.MESSAGE) if text and not text.isspace() else NO_ASK


def _system(messages: list[Message], system: Value | None) -> Value | None:
    """Return the system prompt, or the one after all turns, which tells what to do now."""
    if len(messages) > 1 and messages[-1].role in SYSTEM_ROLES:
        return messages[-1].content
    if system is not None:
        return system
    for message in messages[:_OPENING]:
        if message.role in SYSTEM_ROLES:
            return message.content
    return None
