"""Remove confidential parts from texts: keys, e-mail addresses, and matches of the operator's patterns; pure.

Python's own regular expressions backtrack, so each of those here is bounded: it begins at an edge, and its repeats end
where the next part begins. The operator's run as those of routing rules do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pointsman.config import regex
from pointsman.routing.matcher import Matcher, spans
from pointsman.routing.steps import finish

MAIL, KEY, OTHER = "[e-mail]", "[key]", "[redacted]"

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]*+(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
    r"|(?<![\w-])(?:"
    r"(?:sk|pk|rk)[-_][\w-]{16,}|gh[a-z]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}"
    r"|hf_\w{20,}|A[KS]IA[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,})"
)
_NAMED = re.compile(
    r"(?i)(?<!\w)((?:bearer|password|passwd|passphrase|secret|api[_ -]?key|access[_ -]?token)(?:\s{0,3}[:=]\s{0,3}|"
    r"(?<=bearer)\s{1,3}))[^\s\"',;]{8,}"
)


class Redactor:
    """A redactor with the operator's patterns as well."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take patterns that have been checked."""
        self._programs = [regex.compiled(pattern) for pattern in patterns]
        self._matcher = Matcher(self._programs) if patterns else None

    def redact(self, text: str) -> str:
        """Return the text with placeholders for the confidential parts."""
        text = _KEY.sub(KEY, text)
        text = _NAMED.sub(lambda match: match[1] + KEY, text)
        text = _MAIL.sub(MAIL, text)
        if self._matcher is None:
            return text
        bits = finish(self._matcher.find(text))
        for number, program in enumerate(self._programs):
            if bits >> number & 1:
                text = _without(text, spans(program, text))
        return text


def _without(text: str, found: Sequence[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, end in found:
        parts += [text[position:start], OTHER]
        position = end
    return "".join([*parts, text[position:]])
