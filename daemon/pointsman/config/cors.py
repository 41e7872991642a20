"""Define which web pages may call the data port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@\\\"',*A-Z\x80-\U0010ffff]+")
_METHOD = re.compile(r"[A-Z]+")
_HEADER = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+")
_ANY = "*"
_ORIGIN_FIX = "write scheme and host in lower case, such as https://chat.example, or `*` for all pages"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsOptions:
    origins: tuple[str, ...] = option(
        "Origins of the web pages that may call the data port in a browser, such as `https://chat.example`; `*` means "
        "all. By default browsers let none.",
        (),
    )
    methods: tuple[str, ...] = option("Methods that these pages may use; `*` means all that the data port has.", ("*",))
    headers: tuple[str, ...] = option("Request headers that these pages may send; `*` means all.", ("*",))
    credentials: bool = option(
        "Let browsers send cookies and client certificates; needs named `origins`. An `Authorization` header that the "
        "page sets needs no such permission.",
        False,
    )


def problems(options: CorsOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of origins, methods, headers and credentials."""
    for key, texts, form, fix in (
        ("origins", options.origins, _ORIGIN, _ORIGIN_FIX),
        ("methods", options.methods, _METHOD, "write a method such as POST, or `*`"),
        ("headers", options.headers, _HEADER, "write the name of a header such as Authorization, or `*`"),
    ):
        for i, text in enumerate(texts):
            if text != _ANY and form.fullmatch(text) is None:
                yield source_map.problem((key, i), f'found "{text}"', fix)
    if options.credentials and _ANY in options.origins:
        message = "with credentials, any page could act for the person who looks at it"
        yield source_map.problem(("credentials",), message, "name the origins")
