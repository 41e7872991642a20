"""Define which web pages may call the data port."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.config.options.option import option


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
