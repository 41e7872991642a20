"""Define which web pages may call the data port, and check them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pointsman.config.option import option


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


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@\\\"',*A-Z\x80-\U0010ffff]+")
_METHOD = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+")
_ANY = "*"


def check_origin(text: str) -> None:
    """Check an origin; raises ValueError with the advice."""
    if text != _ANY and _ORIGIN.fullmatch(text) is None:
        raise ValueError("write scheme and host in lower case, such as https://chat.example, or `*` for all pages")


def check_method(text: str) -> None:
    """Check a method; raises ValueError with the advice."""
    if text != _ANY and _METHOD.fullmatch(text) is None:
        raise ValueError("write a method such as POST, or `*`")


def check_header(text: str) -> None:
    """Check a header; raises ValueError with the advice."""
    if text != _ANY and _TOKEN.fullmatch(text) is None:
        raise ValueError("write the name of a header such as Authorization, or `*`")
