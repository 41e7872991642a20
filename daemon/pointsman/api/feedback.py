"""Take a client's feedback on one of its answers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pointsman.errors import RequestError, TooBusy
from pointsman.long_body import Received
from pointsman.observability.feedback_file import FeedbackFile

MAX_FEEDBACK_BODY_BYTES = 16 * 2**10


class _FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    request_id: Annotated[str, Meta(max_length=128)]
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    label: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")] | None = None
    comment: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None


_FEEDBACK = msgspec.json.Decoder(_FeedbackRequest)
_FORM = (
    'send {"request_id": ..., "score": 0.8}, the score from 0 to 1, with or instead a "label" of at most 64 letters, '
    'digits, `_`, `.` and `-`, and a "comment" of at most 2,000 characters'
)


def take(feedback_file: FeedbackFile | None, body: Received, author: str, now: float) -> dict[str, Any]:
    """Store the feedback in a body, and return the response; raises RequestError or TooBusy."""
    if feedback_file is None:
        message = "this service takes no feedback; its operator can name a file in pointsman.log.feedback_file"
        raise RequestError(message, status=404, code="feedback_off")
    said = _said(body)
    answer = feedback_file.answers.find(said.request_id, author, now)
    if answer is None:
        raise RequestError(
            "there is no answer to judge: the id must be the X-Request-Id of an answer that this client got in the "
            "last day, and not one that the client made up",
            status=404,
            code="unknown_request",
            param="request_id",
        )
    if answer.judged:
        message = "there is feedback on this answer already, and it counts once"
        raise RequestError(message, status=409, code="feedback_given", param="request_id")
    if not feedback_file.keep(said.request_id, answer, now, score=said.score, label=said.label, comment=said.comment):
        raise TooBusy("the disk of pointsman.log.feedback_file does not keep up")
    feedback_file.answers.judged(said.request_id, answer)
    return {"request_id": said.request_id, "kept": True}


def _said(body: Received) -> _FeedbackRequest:
    try:
        said = _FEEDBACK.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{error}; {_FORM}", status=400, code="invalid_feedback") from error
    if said.score is None and said.label is None and said.comment is None:
        message = f"a score, a label or a comment is missing; {_FORM}"
        raise RequestError(message, status=400, code="invalid_feedback")
    return said
