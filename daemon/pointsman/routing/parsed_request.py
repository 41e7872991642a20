"""Parse a routed request: what its person asks, and the body with the edits of a decision. Pure."""

from __future__ import annotations

import msgspec
from msgspec.json import Decoder

from pointsman.formats import CHAT, ROUTED, Format
from pointsman.long_body import Received
from pointsman.routing import stream_usage
from pointsman.routing.ask import BUILTIN, NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.body import BodyFields, Message, Value, decode, given, read_fields
from pointsman.routing.edits import EditedBody, Edits, changed, edited
from pointsman.routing.format_edits import Changes, own_reasoning, reasoning_changes, system_prompt_changes
from pointsman.routing.message_list import counted, read_ask, read_messages, read_prompts
from pointsman.routing.prompt_text import TooManyParts
from pointsman.routing.steps import Steps, finish
from pointsman.routing.tools import carries_tools

_STRING = Decoder(str)


class ParsedRequest(msgspec.Struct, frozen=True, gc=False):
    """A parsed body: `model` is None if the client named none; `ask` is the person's ask, in the message `asked`.

    `prompts` is the number of a completion's prompts that were read; the asks of all but the first are the ask's
    `others`. `messages` is None if the request has a plain prompt. `readable` is False if the request has more
    messages, or parts of messages, than routing reads; then there is no ask.
    """

    format: Format
    fields: BodyFields
    model: str | None
    ask: Ask = NO_ASK
    asked: Message | None = None
    messages: list[Message] | None = None
    readable: bool = True
    prompts: int = 1

    @property
    def text(self) -> str:
        """Return the text of the ask."""
        return self.ask.text

    @property
    def body(self) -> Received:
        """Return the bytes that the client sent."""
        return self.fields.body

    @property
    def tools(self) -> bool:
        """Return whether the request carries tools."""
        return carries_tools(self.fields)

    def apply(self, edits: Edits, *, counted: bool = False) -> EditedBody:
        """Return the body with the edits that its format supports; the same bytes if there are none.

        `counted`: tokens are compared, so vLLM is asked for the usage of a stream.
        """
        form, fields = self.format, self.fields
        changes: Changes = ()
        prompt: Changes = ()
        reasoning: bool | None = None
        if edits.model is not None and edits.model != self.model:
            changes = (changed(fields, "model", (msgspec.json.encode(edits.model),)),)
        if edits.reasoning is not None:
            ours = reasoning_changes(form, fields, edits.reasoning)
            changes += ours
            reasoning = edits.reasoning.on if ours else own_reasoning(form, fields, edits.reasoning)
        if edits.system_prompt is not None:
            prompt = system_prompt_changes(form, fields, self.messages, edits.system_prompt)
            changes += prompt
        if counted and form.usage_on_request:
            changes += stream_usage.asking(fields)
        body = edited(fields, changes)
        body.reasoning, body.prompted = reasoning, bool(prompt)
        return body


def format_of(fields: BodyFields) -> Format:
    """Return the format of a body by its fields, if the path does not tell the format."""
    return next((form for form in ROUTED if form.known_by is not None and given(fields.get(form.known_by))), CHAT)


def parse_request(form: Format, body: bytes, finder: AskFinder = BUILTIN) -> ParsedRequest:
    """Parse a body without a pause, as `read_fields` and `read_request` do."""
    return finish(read_request(form, finish(read_fields(body)), finder))


def read_request(
    form: Format, fields: BodyFields, finder: AskFinder = BUILTIN, stated: str = ""
) -> Steps[ParsedRequest]:
    """Return the request; raises RequestError (400) if `model` is not a string.

    `stated` is the ask from the client's header. Validating the messages is left to vLLM: a body without usable
    messages parses, without an ask.
    """
    request = yield from _read(form, fields, finder)
    if not stated and finder.body_field is not None:
        stated = decode(fields.get(finder.body_field), "", _STRING)
    if not stated or stated.isspace():
        return request
    return msgspec.structs.replace(request, ask=Ask(stated, AskKind.STATED), asked=None, prompts=1)


def _read(form: Format, fields: BodyFields, finder: AskFinder) -> Steps[ParsedRequest]:
    model, messages = fields.model, _messages(form, fields)
    try:
        if messages is None:
            value = fields.get(form.prompt_field)
            messages = None if form.plain else (yield from read_messages(value))
            if messages is None:
                ask, prompts = yield from read_prompts(value, finder)
                return ParsedRequest(form, fields, model, ask, prompts=prompts)
        ask, asked = yield from read_ask(counted(messages), _system(form, fields), finder)
    except TooManyParts:
        return ParsedRequest(form, fields, model, readable=False)
    return ParsedRequest(form, fields, model, ask, asked, messages)


def _messages(form: Format, fields: BodyFields) -> list[Message] | None:
    """Return the messages that were read with the fields, or None if the format has them elsewhere."""
    return fields.messages if form.prompt_field == "messages" else None


def _system(form: Format, fields: BodyFields) -> Value | None:
    return None if form.system_field is None else fields.get(form.system_field)
