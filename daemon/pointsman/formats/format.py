"""The facts about one path of vLLM."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pointsman.formats.error_form import OPENAI, ErrorForm

JsonPath = tuple[str, ...]
"""The keys that lead to a value in a JSON text."""
PARAMETER = "{parameter}"
"""Stands for the key of the reasoning effort that a model's family has in the config."""
TOP_LEVEL: tuple[JsonPath, ...] = (("usage",),)
"""The positions of the usage in a complete answer, in each format."""


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """All that depends on the path of a request to vLLM, which is sent by POST."""

    path: str
    routed: bool = False
    """Requests with the automatic model name are classified and edited; else they are relayed to the default model."""
    generates: bool = False
    """An answer has tokens; else the cost of a request is only its prompt."""
    operation: str | None = None
    """The name of the operation in spans, by GenAI's semantic conventions, which name few."""
    error_form: ErrorForm = OPENAI
    counted_as: Format | None = None
    """The routed format whose tokens are counted, with the edits that such a request would get."""

    # --- requests that are routed ---

    prompt_field: str = "messages"
    """The field of the messages or the prompt."""
    plain: bool = False
    """The prompt field has no messages, so there is no system prompt and no reasoning to set."""
    system_field: str | None = None
    """The field of the system prompt, if that is not among the `messages`."""
    known_by: str | None = None
    """The field by which a body has this format where no path tells it; CHAT is what no field tells."""
    effort: JsonPath = ()
    """The keys of a reasoning effort; none if a request has no place for it."""
    more_fields: tuple[str, ...] = ()
    """Further top-level fields that are read."""

    # --- token counts ---

    length_fields: tuple[str, ...] = ()
    """The fields that limit the tokens of an answer; none if the fields of a request are not known."""
    prompts_fields: tuple[str, ...] = ()
    """The fields that may contain several prompts, each with its own answers."""
    usage_in_stream: tuple[JsonPath, ...] = TOP_LEVEL
    """The positions of the usage in the events of a stream."""
    usage_on_request: bool = False
    """A stream has usage only if the request asks for it with `stream_options`."""
    generated: re.Pattern[bytes] | None = None
    """A pattern of the first event that vLLM sends once it generates; None if any event is."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the top-level fields that are read or edited in this format."""
        named = (self.prompt_field, self.system_field, *self.effort[:1], *self.more_fields)
        return tuple([name for name in named if name and name != PARAMETER])
