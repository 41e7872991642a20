"""Check the pages that may send requests."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config import cors as origins
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `cors`."""
    cors = subject.config.pointsman.cors
    for key, texts, check in (
        ("origins", cors.origins, origins.check_origin),
        ("methods", cors.methods, origins.check_method),
        ("headers", cors.headers, origins.check_header),
    ):
        for i, text in enumerate(texts):
            try:
                check(text)
            except ValueError as error:
                keys: Keys = ("pointsman", "cors", key, i)
                yield subject.problem(*keys, message=f'found "{text}"', fix=str(error))
    if cors.credentials and "*" in cors.origins:
        message, fix = "with credentials, any page could act for the person who looks at it", "name the origins"
        yield subject.problem("pointsman", "cors", "credentials", message=message, fix=fix)
