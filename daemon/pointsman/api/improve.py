"""Handle the admin port's paths for labels and fits."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

import msgspec

from pointsman.api.admin_handler import answering, body_of
from pointsman.server.request import Request
from pointsman.server.response import Response
from pointsman.server.routes import Route

FORM = '{"hash": "TEXT_HASH", "label": "CATEGORY"}, as GET /improve names them, or "none"'


class _LabelRequest(msgspec.Struct, forbid_unknown_fields=True):
    hash: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class ImproveActions(Protocol):
    """The worklist, labels and fits; each method raises HttpError."""

    async def describe(self) -> Response: ...
    async def label(self, text_hash: str, label: str) -> Response: ...
    async def undo(self) -> Response: ...
    async def start(self, command: Literal["collect", "fit"]) -> Response: ...
    async def cancel(self) -> Response: ...


def improve_routes(improver: ImproveActions) -> list[Route]:
    """Return the routes `GET /improve`, and `POST /improve/collect`, `/label`, `/undo`, `/fit` and `/cancel`.

    Labeling takes `{"hash": TEXT_HASH, "label": CATEGORY or "none"}`.
    """

    async def label(request: Request) -> Response:
        asked = await body_of(request, _LabelRequest, FORM)
        return await improver.label(asked.hash, asked.label)

    return [
        Route("GET", "/improve", answering(lambda _: improver.describe())),
        Route("POST", "/improve/collect", answering(lambda _: improver.start("collect"))),
        Route("POST", "/improve/label", answering(label)),
        Route("POST", "/improve/undo", answering(lambda _: improver.undo())),
        Route("POST", "/improve/fit", answering(lambda _: improver.start("fit"))),
        Route("POST", "/improve/cancel", answering(lambda _: improver.cancel())),
    ]
