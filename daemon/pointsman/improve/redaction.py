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

# Where all branches of a pattern begin with a letter, Python skips to the next of these letters: that is ten times as
# fast as to try each branch everywhere. So names are branches of their own, and patterns are tried on small letters.
_TOKENS = (  # by the beginnings by which their services know them
    r"pk[-_]", r"rk[-_]", r"sk[-_]", r"csk[-_]", r"whsec_", r"gh[a-z]_", r"github_pat_", r"gl[a-z]{2,6}-", r"xox[a-z]-",
    r"xapp-", r"hf_", r"A[KS]IA", r"AIza", r"ya29\.", r"GOCSPX-", r"npm_", r"pypi-", r"SG\.", r"key-", r"do[a-z]_v1_",
    r"shp[a-z]{2}_", r"sq0[a-z]{3}-", r"EAAA", r"lin_api_", r"ntn_", r"secret_", r"hv[a-z]\.", r"dapi", r"dckr_pat_",
    r"PMAK-", r"glsa_", r"glc_", r"NRAK-", r"figd_", r"sntry[a-z]_", r"sbp_", r"pscale_[a-z]{2,5}_", r"fo1_",
    r"rubygems_", r"AGE-SECRET-KEY-1", r"xai-", r"gsk_", r"r8_", r"pplx-", r"nvapi-", r"tvly-", r"AT[AC]TT3",
    r"lsv2_[a-z]{2}_", r"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.", r"M[\w-]{23,27}\.[\w-]{6}\.", r"N[\w-]{23,27}\.[\w-]{6}\.",
    r"O[\w-]{23,27}\.[\w-]{6}\.",
)  # fmt: skip
_TOKEN = re.compile("|".join(rf"{begin}(?=[\w+/=.-]{{16}})[\w+/=.-]++" for begin in _TOKENS))
_BLOCK = re.compile(
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?:[^-]|-(?!---))*+"
    r"(?:-{4,5} ?END [A-Z0-9 ]{0,60}-{4,5})?"
    r"|Private-Lines: \d{1,3}(?:\s{1,2}[A-Za-z0-9+/=]{1,64}){1,80}+"
    r"|hooks\.slack\.com/services/[\w/]++|/api/webhooks/\d{1,24}/[\w-]++"
)
_BOT = re.compile(r"(?<!\w)\d{8,10}:AA[\w-]{30,}")
_URL = re.compile(r"(://[^\s/:@]{0,64}:)[^\s/@]{1,200}(?=@)")

# What is set to the first is confidential, however short it is; what is set to the others, if it looks like a key:
# `passwords`, too, as that may begin a list of something else.
_NAMES = (
    "password", "passwd", "pass-word", "passphrase", "pass_phrase", "passcode", "pwd", "passwort", "kennwort",
    "mot de passe", "contrase\u00f1a", "senha", "wachtwoord", "\u043f\u0430\u0440\u043e\u043b\u044c", "\u5bc6\u7801",
)  # fmt: skip
_KEY_NAMES = (
    "secret", "secret[_ -]?key", "credential", "token", "apikey", "api[_ -]key", "access[_ -]?key", "account[_ -]?key",
    "private[_ -]?key", "auth[_ -]?key", "encryption[_ -]?key", "signing[_ -]?key", "master[_ -]?key",
    "session[_-]?id", "phpsessid", "jsessionid", "pass", "password",
)  # fmt: skip
# From a name to what it is set to, in code, JSON (also within a string), XML and the environment.
_SET = r"\d{0,2}(?:\\?[\"'`]?\s{0,20}(?::=|=>|[:=>])\s{0,20}|[\"']\s{0,3},\s{0,3}(?=[\"'])|[\"']\s{1,20}value\s?=\s?)"
_SAID = r"\s{1,3}(?:is|ist|lautet|est|es|to)(?: now)?:?\s{1,3}"
# What looks like a key: it is quoted, long, or has a digit and is no number.
_KEY_LIKE = r"(?!\d{1,11}(?!\w))(?=\\?[\"'`]\S{6}|[^\s\"'`,;<&(]{0,60}\d|[^\s\"'`,;<&(.]{16})"
# What is said about a password.
_NOT_IT = (
    r"(?!(?:not|no|too|an?|the|my|your|this|that|it|i|in|on|at|as|by|for|from|of|still|already|always|never|now|only|also|"
    r"all|be|being|been|so|very|just|where|what|when|how|why|wrong|right|correct|incorrect|invalid|valid|expired|about|"
    r"required|missing|empty|null|none|unknown|lost|forgotten|reset|changed|hashed|encrypted|stored|saved|sent|set|used|"
    r"weak|strong|long|short|safe|secure|visible|hidden|asked|needed|rejected|accepted|refused|compromised|leaked|case)"
    r"(?![\w-]))"
)
_AFTER_NAME = rf"(?:{_SET}|{_SAID}{_NOT_IT}|(?:\s{{1,3}}\w{{1,20}}){{1,5}}\s{{1,3}}is:?\s{{1,3}}(?=[\"'`]))"
_NAMED = re.compile(
    "("
    r"authorization\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?(?:(?:basic|bearer|token|digest|negotiate)\s{1,3})?"
    r"|x-[a-z-]{0,20}(?:key|token)\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?"
    r"|bearer\s{1,3}(?=\S{8})"
    r"|-u[ =][^\s:]{1,64}:|--user[ =][^\s:]{1,64}:"
    r"|login(?:\s{1,3}\S{1,64}\s{1,3}password\s{1,3}|[^\n|;]{0,200}?\s-p ?(?=\S))"
    + "".join(rf"|{name}[^\n|;]{{0,200}}?\s-p ?(?=\S)" for name in ("mysql", "mariadb", "sshpass"))
    + "".join(rf"|\{mark}(?:sig|signature|key|x-amz-signature|x-amz-credential)=" for mark in "?&")
    + rf"|-(?:{'|'.join((*_NAMES, *_KEY_NAMES))})[ =]"
    + "".join(f"|{name}{_AFTER_NAME}" for name in _NAMES)
    + "".join(f"|{name}s?(?:{_SET}|{_SAID}){_KEY_LIKE}" for name in _KEY_NAMES)
    + r")(?:\\?\"[^\"\n]{1,500}\"|\\?'[^'\n]{1,500}'|`[^`\n]{1,500}`|[^\s\"'`,;<&]++)"
)
_COOKIE = re.compile(r"(cookie:[ \t]{0,3})[^\s=;\"']{1,64}=[^\r\n\"']{1,4096}")

Span = tuple[int, int]


class Redactor:
    """A redactor with the operator's patterns as well."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take patterns that have been checked."""
        self._programs = [regex.compiled(pattern) for pattern in patterns]
        self._matcher = Matcher(self._programs) if patterns else None

    def redact(self, text: str) -> str:
        """Return the text with placeholders for the confidential parts."""
        for pattern in (_BLOCK, _BOT):
            text = pattern.sub(KEY, text)
        text = _without(text, [found.span() for found in _TOKEN.finditer(text) if _begins(text, found.start())], KEY)
        for pattern in (_COOKIE, _URL, _NAMED):
            small = _in_small_letters(text)
            text = _without(text, [(found.end(1), found.end()) for found in pattern.finditer(small)], KEY)
        text = _MAIL.sub(MAIL, text)
        if self._matcher is None:
            return text
        bits = finish(self._matcher.find(text))
        for number, program in enumerate(self._programs):
            if bits >> number & 1:
                text = _without(text, spans(program, text), OTHER)
        return text


def _begins(text: str, at: int) -> bool:
    """Return whether no word goes on at a position."""
    return not at or not (text[at - 1].isalnum() or text[at - 1] in "_-")


def _in_small_letters(text: str) -> str:
    """Return the text in small letters, each at its position."""
    small = text.lower()
    return small if len(small) == len(text) else "".join([one if len(low := one.lower()) > 1 else low for one in text])


def _without(text: str, found: Sequence[Span], placeholder: str) -> str:
    parts, position = [], 0
    for start, end in found:
        parts += [text[position:start], placeholder]
        position = end
    return "".join([*parts, text[position:]])
