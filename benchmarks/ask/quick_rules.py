"""Quick rules that find what a person asks, to compare the search for the ask with.

They were written quickly, without sight of the search and of the wrappers that are measured. They strip what they know,
and return the message as it is where nothing matches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from pointsman.routing.ask import Ask, AskFinder, AskKind
from pointsman.routing.steps import Steps

ANY_CASE = re.IGNORECASE
LINES, ACROSS = ANY_CASE | re.MULTILINE, ANY_CASE | re.DOTALL
# Tasks that a client sends for itself, looked for in the first part of the message.
HELPER = re.compile(
    r"\b(?:title|tags?|emoji|follow[- ]?up (?:questions|prompts)|search quer(?:y|ies)|summary)\b.{0,160}"
    r"\b(?:chat history|(?:the|this|our) (?:\w+ )?(?:chat|conversation|session)|message history)\b"
    r"|^\W*task:?\s+(?:generate|suggest|write|create|provide|analy[sz]e)\b.{0,90}"
    r"\b(?:title|tags|follow[- ]?up|search quer|chat history)"
    r"|^\W*(?:generate|suggest|write|create|provide) (?:a |an )?(?:concise\W+|short\W+)?\d\S* .{0,40}\b(?:title|tags)\b"
    r"|(?:rephrase|rewrite|reformulate|condense)\b.{0,80}\b(?:question|query)\b.{0,80}(?:standalone|search|retriev)"
    r"|\bnew conversation topic\b|\bautocompletion system\b|^\W*suggestion mode\b",
    ACROSS,
)
# Blocks that are never the person's words, and blocks that hold them.
NOISE = re.compile(
    r"<((?:system|environment|env|editor|project|workspace|repo|git|open|recently|current|attached|additional|"
    r"user_info|user_rules|local-command|command-(?:name|message)|tool|function|reminder|retrieved|search|selected|ide)"
    r"[\w-]*|contexts?|documents?|docs?|files?|file_contents?|attachments?|sources?|rules|memory|memories|instructions|"
    r"chat_history|history|examples?|passages?|output_format|schema|thinking|ide_\w+)\b[^>]*>.*?</\1\s*>",
    ACROSS,
)
ASK_TAG = re.compile(
    r"<((?:user|human)?[_-]?(?:query|question|request|message|input|prompt|task)|feedback|"
    r"command-args|user|human|instruction|ask)\b[^>]*>(.+?)</\1\s*>",
    ACROSS,
)
LABEL = re.compile(
    r"^[\s#*\[]*(?:(?:user|human|my|current|new|latest|final|follow[- ]?up|input)(?:'s)?[ _])?"
    r"(?:question|query|request|user|human|task|instruction|user input|my request for \w+|q)s?"
    r"[\s*\]]*:[ *]*|^#+ *(?:user |my )?(?:question|query|request|task|instruction)s? *$",
    LINES,
)
STOP = re.compile(
    r"^[\s#*\[]*(?:(?:helpful|final|your|standalone|detailed) )?(?:answer|response|assistant|ai|bot|"
    r"output(?: format)?|context|documents?|sources?|thought|input|chat history|rules)[\s*\]]*:",
    LINES,
)
CUE = re.compile(
    r"\s*(?:(?:helpful|final|your|detailed) )?(?:answer|response|assistant|ai)\W*:\W*$"
    r"|\s*let's think step by step\W*$",
    ANY_CASE,
)
FENCE = re.compile(r"```(?:json\w*)?\s*\{(?=[^`]*\"(?:type|properties|\$schema)\")[^`]*```", ANY_CASE)
FORMAT = re.compile(
    r"(?:^|(?<=[.?!:]\s))\W*(?:please |you must |always |only )*(?:respond|answer|reply|output|return|format|give)\b"
    r"[^.\n]{0,60}\b(?:json|schema|yaml|xml|following format)\b[\s\S]*"
    r"|^\W*(?:here is the output schema|(?:your|the) (?:output|response|answer) (?:should|must)|format instructions|"
    r"do not (?:add|include) any)\b[\s\S]*",
    LINES,
)
MAIL = re.compile(r"^(?:-+ ?(?:original|forwarded) message ?-+|on .{6,120} wrote:\s*$)[\s\S]*|^\s*>.*$\n?", LINES)
ASKS = re.compile(
    r"^\W*(?:please|(?:can|could|would) you|help|how|what|why|when|where|which|who|is|are|does|do|i need|"
    r"i want|explain|summari[sz]e|translate|write|fix|find|give|list|make|create|add|rewrite|review|"
    r"check|compare|describe|extract|analy[sz]e|based on|tell|show|convert|implement|refactor)\b",
    ANY_CASE,
)


def pick(text: str) -> str:
    """Return the paragraph that asks, if a long document is before or after it."""
    parts = [p.strip() for p in re.split(r"\n\s*\n|\n\s*(?:-{3,}|={3,}|\"{3}|`{3}).*", text) if p.strip(' \n-="`')]
    parts = parts if len(parts) > 1 else [line for line in text.splitlines() if line.strip()]
    marks = [
        (2 * bool(ASKS.search(p)) + ("?" in p) + 2 * (n in (0, len(parts) - 1)) - 2 * (len(p) > 700), n)
        for n, p in enumerate(parts)
    ]
    return parts[max(marks)[1]] if marks and max(marks)[0] > 2 else text


def quick_ask(message: str) -> str | None:
    """Return what the person asks in a message, None for a helper task of a client."""
    text = NOISE.sub("\n", message).strip() or message
    if HELPER.search(text[:500]):
        return None
    tags = [m[2].strip() for m in ASK_TAG.finditer(text) if m[2].strip()]
    text = tags[-1] if tags else text
    for label in reversed(list(LABEL.finditer(text))):  # the last label with words after it
        if after := STOP.split(text[label.end() :].lstrip(), maxsplit=1)[0].strip():
            text = after
            break
    for rule in (MAIL, FENCE, FORMAT, CUE):
        text = rule.sub("", text).strip() or text
    return (pick(text) if len(text) > 900 else text).strip() or message


class QuickFinder(AskFinder):
    """Finds asks by these rules."""

    def __init__(self) -> None:
        super().__init__("last_user")

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        """Return the ask in the text parts of one message."""
        found = yield from super().search(parts, system)
        text = quick_ask(found.text)
        return Ask("", AskKind.HELPER_TASK) if text is None else msgspec.structs.replace(found, text=text)
