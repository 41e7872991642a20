"""Define the formats of the requests that are forwarded: what depends on a path is stated here, and derived elsewhere.

vLLM has more paths, some of which its --api-key does not protect; these are the ones that clients use.
"""

from __future__ import annotations

import re

from pointsman.formats.error_form import ANTHROPIC, OPENAI_RESPONSES, ErrorForm
from pointsman.formats.format import PARAMETER, TOP_LEVEL, Format, JsonPath

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "FIELDS",
    "FORMATS",
    "MESSAGES",
    "PARAMETER",
    "RESPONSES",
    "ROUTED",
    "TOP_LEVEL",
    "ErrorForm",
    "Format",
    "JsonPath",
    "by_path",
    "error_form_of",
]

CHAT = Format(
    "/v1/chat/completions",
    routed=True,
    generates=True,
    operation="chat",
    effort=(PARAMETER,),
    length_fields=("max_tokens", "max_completion_tokens"),
    usage_on_request=True,
)
COMPLETIONS = Format(
    "/v1/completions",
    routed=True,
    generates=True,
    operation="text_completion",
    prompt_field="prompt",
    plain=True,
    known_by="prompt",
    length_fields=("max_tokens",),
    prompts_fields=("prompt", "prompt_embeds"),
    usage_on_request=True,
)
MESSAGES = Format(
    "/v1/messages",
    routed=True,
    generates=True,
    operation="chat",
    error_form=ANTHROPIC,
    system_field="system",
    known_by="system",
    length_fields=("max_tokens",),
    usage_in_stream=(("message", "usage"), ("usage",)),
)
RESPONSES = Format(
    "/v1/responses",
    routed=True,
    generates=True,
    operation="chat",
    error_form=OPENAI_RESPONSES,
    prompt_field="input",
    system_field="instructions",
    known_by="input",
    effort=("reasoning", "effort"),
    more_fields=("previous_response_id", "request_id", "store"),
    length_fields=("max_output_tokens",),
    usage_in_stream=(("response", "usage"),),
    # The text of an event has no line ends.
    generated=re.compile(rb"^event: (?!response\.(?:created|in_progress|queued)\s)", re.MULTILINE),
)
FORMATS = (
    CHAT,
    COMPLETIONS,
    MESSAGES,
    RESPONSES,
    # Several chats in one request.
    Format(
        "/v1/chat/completions/batch",
        generates=True,
        length_fields=CHAT.length_fields,
        prompts_fields=("messages",),
    ),
    Format("/v1/chat/completions/render"),
    Format("/v1/completions/render"),
    Format("/v1/messages/render", error_form=ANTHROPIC),
    Format("/v1/responses/render", error_form=OPENAI_RESPONSES),
    Format("/v1/messages/count_tokens", error_form=ANTHROPIC, counted_as=MESSAGES),
    Format("/v1/embeddings", operation="embeddings"),
    Format("/v1/audio/transcriptions", generates=True),
    Format("/v1/audio/translations", generates=True),
    Format("/v1/score"),
    Format("/score"),
    Format("/v1/rerank"),
    Format("/v2/rerank"),
    Format("/rerank"),
    Format("/pooling"),
    Format("/classify"),
    Format("/generative_scoring"),
    Format("/v1/decisions"),
    Format("/tokenize"),
    Format("/detokenize"),
)
ROUTED = tuple(form for form in FORMATS if form.routed)
FIELDS = tuple(dict.fromkeys(name for form in ROUTED for name in form.fields))
"""The top-level fields that are read or edited in the routed formats."""

_BY_PATH = {form.path: form for form in FORMATS}
_UNKNOWN = Format("", generates=True)
"""The format of a path that the config adds."""


def by_path(path: str) -> Format:
    """Return the format of a path."""
    return _BY_PATH.get(path, _UNKNOWN)


def error_form_of(path: str) -> ErrorForm:
    """Return the form of errors for any path; below that of a format, it is the same."""
    form = _BY_PATH.get(path) or next((one for one in FORMATS if path.startswith(f"{one.path}/")), _UNKNOWN)
    return form.error_form
