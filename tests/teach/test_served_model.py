"""A model is asked patiently: what its server lacks is left out, what fails is tried again, and others go first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.cli.http_client import CallFailed
from pointsman_export.teach.questions import About, Question, to_judge
from pointsman_export.teach.served_model import GivesUp, ServedModel, Unanswered

QUESTION = to_judge("sum by month", [About("sql", ("Writes SQL.",))])
IDLE = b"vllm:num_requests_waiting 0.0\n"


def said(text: str) -> tuple[int, bytes]:
    usage = {"prompt_tokens": 40, "completion_tokens": 7}
    return 200, json.dumps({"choices": [{"message": {"content": text}, "text": text}], "usage": usage}).encode()


class Server:
    """Answers in turn, the last one for ever; keeps the questions, and how long somebody waited."""

    def __init__(self, *answers: tuple[int, bytes] | CallFailed, metrics: tuple[bytes, ...] = (IDLE,)) -> None:
        self.answers = list(answers)
        self.metrics = list(metrics)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.slept: list[float] = []

    async def get(self, path: str) -> tuple[int, bytes]:
        assert path == "/metrics"
        return 200, self.metrics.pop(0) if len(self.metrics) > 1 else self.metrics[0]

    async def post(self, path: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        self.asked.append((path, json.loads(body)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def model(self, priority: int | None = None) -> ServedModel:
        return ServedModel(self, "base", priority, self.sleep)  # type: ignore[arg-type]


async def test_the_answer_is_the_text_and_its_tokens_are_counted() -> None:
    model = Server(said("1")).model()

    assert await model.answer(QUESTION) == "1"
    assert (model.count.read, model.count.written) == (40, 7)


async def test_a_priority_goes_along_where_one_is_given() -> None:
    with_one, without = Server(said("1")), Server(said("1"))
    await with_one.model(99).answer(QUESTION)
    await without.model().answer(QUESTION)

    assert with_one.asked[0][1]["priority"] == 99
    assert "priority" not in without.asked[0][1]


async def test_structured_output_is_tried_once_and_then_left_out() -> None:
    server = Server((400, b"response_format is not supported"), said("1"), said("1"))
    model = server.model()
    await model.answer(QUESTION)
    await model.answer(QUESTION)

    assert ["response_format" in fields for _, fields in server.asked] == [True, False, False]


async def test_a_base_model_without_a_chat_template_continues_a_text() -> None:
    server = Server((400, b"... no chat template is defined ..."), said("1"))

    assert await server.model().answer(QUESTION) == "1"
    assert [path for path, _ in server.asked] == ["/v1/chat/completions", "/v1/completions"]
    assert server.asked[1][1]["prompt"] == QUESTION.continued


@pytest.mark.parametrize("trouble", [(503, b"restarting"), (429, b"slow down"), CallFailed("does not answer in time")])
async def test_a_busy_or_silent_server_is_asked_again_later(trouble: tuple[int, bytes] | CallFailed) -> None:
    server = Server(trouble, trouble, said("1"))

    assert await server.model().answer(QUESTION) == "1"
    assert server.slept == [5.0, 10.0]


async def test_a_question_has_four_tries_and_five_without_an_answer_end_it() -> None:
    server = Server((503, b"restarting"))
    model = server.model()

    for _ in range(4):
        with pytest.raises(Unanswered, match="status 503: restarting"):
            await model.answer(QUESTION)
    with pytest.raises(GivesUp, match="5 questions in a row had no answer"):
        await model.answer(QUESTION)
    assert len(server.asked) == 20


async def test_a_model_that_is_gone_is_said_so() -> None:
    with pytest.raises(Unanswered, match="status 404: The model `base` does not exist"):
        await Server((404, b"The model `base` does not exist.")).model().answer(QUESTION)


async def test_nothing_is_asked_while_requests_wait_at_the_server() -> None:
    busy = b'vllm:num_requests_waiting{engine="0",model_name="base"} 3.0\n'
    server = Server(said("1"), metrics=(busy, busy, IDLE))
    await server.model().answer(QUESTION)

    assert server.slept == [5.0, 5.0]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"choices": []}', b"[" * 100_000, b'{"choices": [{"message": 3}]}']
)
async def test_an_answer_of_another_api_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unanswered, match="none of OpenAI's API"):
        await Server((200, body)).model().answer(QUESTION)


async def test_an_answer_without_text_is_an_empty_one() -> None:
    body = json.dumps({"choices": [{"message": {"content": None}}]}).encode()

    assert await Server((200, body)).model().answer(QUESTION) == ""


def test_a_question_asks_for_few_tokens() -> None:
    assert isinstance(QUESTION, Question)
    assert QUESTION.max_tokens <= 16
