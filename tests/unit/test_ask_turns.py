"""The user's last turn is found in a prompt to which the client applied a chat template."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.turns import after_speaker, last_user_turn

ASK = "How do I moor a ferry?"


def said(text: str) -> str | None:
    turn = last_user_turn(text)
    return None if turn is None else text[turn[0] : turn[1]]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n", id="ChatML"),
        pytest.param("<|im_start|>USER\n{}<|im_end|>\n<|im_start|>assistant\n", id="ChatML in capitals"),
        pytest.param("<|system|>\nBe brief.</s><|user|>{}</s><|assistant|>", id="Zephyr"),
        pytest.param("<|user|>{}", id="the end of the text"),
        pytest.param("<s>[INST]{}[/INST]", id="Mistral"),
        pytest.param("[INST]{}[/INST]", id="Mistral without its first token"),
        pytest.param("<s>[INST] <<SYS>>Be brief.<</SYS>>{}[/INST]", id="Llama 2"),
        pytest.param("<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n", id="Gemma"),
        pytest.param(
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>{}<|eot_id|><|start_header_id|>assistant"
            "<|end_header_id|>",
            id="Llama 3",
        ),
        pytest.param("<|header_start|>user<|header_end|>{}<|eot|>", id="Llama 4"),
        pytest.param("<|start_of_role|>user<|end_of_role|>{}<|end_of_text|>", id="Granite"),
        pytest.param("<|start|>user<|message|>{}<|end|>", id="Harmony"),
        pytest.param("<|im_start|>user<|im_sep|>{}<|im_end|>", id="Phi 4"),
        pytest.param("<|im_user|> User\n<|im_middle|>{}<|im_end|>", id="Kimi"),
        pytest.param("<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>{}<|END_OF_TURN_TOKEN|>", id="Command R"),
        pytest.param("<｜begin▁of▁sentence｜>Be brief.<｜User｜>{}<｜Assistant｜>", id="DeepSeek"),
        pytest.param("<|role|>user\n{}<|role|>assistant\n", id="a role behind a token"),
        pytest.param("<bos><start_of_turn>user\n{}<end_of_turn>", id="Gemma with its first token"),
        pytest.param(" \n<|user|>{}<|assistant|>", id="space before it"),
        pytest.param("<|user|>Hi<|assistant|>Hello<|user|>{}<|assistant|>", id="the last of several turns"),
        pytest.param("<|user|>{}<|assistant|>Hello<|user|> \n<|assistant|>", id="an empty turn behind it"),
    ],
)
def test_the_users_last_turn_is_found_by_the_tokens_of_its_template(template: str) -> None:
    assert said(template.format(ASK)) == ASK


def test_a_turn_may_be_one_character() -> None:
    assert said("<|user|>7<|assistant|>") == "7"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"What does <|user|> mean in {ASK}", id="a token within a text"),
        pytest.param(f"<p>{ASK}</p><|user|>{ASK}", id="a tag before a token"),
        pytest.param(f"<|im_start|>assistant\n{ASK}<|im_end|>", id="another role"),
        pytest.param(f"<|im_start|>users\n{ASK}<|im_end|>", id="a longer role"),
        pytest.param(f"<|start_header_id|>assistant<|end_header_id|>{ASK}", id="another role between tokens"),
        pytest.param(f"<s>user\n{ASK}</s>", id="a role behind a token that none follows"),
        pytest.param(f"<|message|>{ASK}", id="no token before the role"),
        pytest.param(f"user<|message|>{ASK}", id="a role without a token"),
        pytest.param("<|user|>", id="nothing said"),
        pytest.param("<|user|><|assistant|>", id="nothing said before the answer"),
        pytest.param("", id="no text"),
    ],
)
def test_without_a_template_or_a_turn_of_the_user_nothing_is_found(text: str) -> None:
    assert said(text) is None


@pytest.mark.parametrize("user", ["USER", "User", "HUMAN", "Human"])
@pytest.mark.parametrize("answer", ["ASSISTANT", "Assistant", "AI", "BOT", "Bot", "GPT"])
def test_one_line_may_have_all_turns(user: str, answer: str) -> None:
    assert said(f"{user}: {ASK} {answer}:") == f"{ASK}"
    assert said(f"A chat. {user}: Hi {answer}: Hello.</s>{user}: {ASK} {answer}:\n") == ASK


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"USER: {ASK}", id="no place of the answer"),
        pytest.param(f"USER: {ASK} ASSISTANT: With a rope.", id="an answer"),
        pytest.param(f"USER: {ASK}\nASSISTANT:", id="lines of their own"),
        pytest.param(f"{ASK} ASSISTANT:", id="no turn of the user"),
        pytest.param(f"SUPERUSER: {ASK} ASSISTANT:", id="the end of a word"),
    ],
)
def test_a_line_without_turns_or_the_place_of_the_answer_is_none(text: str) -> None:
    assert said(text) is None


def spoken(text: str) -> str:
    """The line that asks, without the name of a speaker before it."""
    return text[after_speaker(text, text.index("Tom", text.rindex("\n", 0, text.index(ASK)))) :].split("\n")[0]


@pytest.mark.parametrize("answer", ["Mira:", "Mira: ", "\nMira:\n", "### Response:\nMira:"])
def test_a_name_is_a_speakers_where_the_text_ends_with_that_of_who_answers(answer: str) -> None:
    for first in ("Mira: Hello.\n", ""):
        assert spoken(f"{first}Tom: Hi.\nMira: Go on.\nTom: {ASK}\n{answer}") == ASK


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"To Tom:\nMira: Hello.\nTom: {ASK}", id="nobody is to answer"),
        pytest.param(f"To Tom:\nMira: Hello.\nTom: {ASK}\nMira: With a rope.", id="an answer"),
        pytest.param(f"A:\nTom: Hello.\nTom: {ASK}\nTom:", id="the same speaker"),
        pytest.param(f"To Tom:\nMira is late.\nTom: {ASK}\nMira", id="a name alone"),
        pytest.param(f"To Tom:\nMira: Hello.\nTom asks: {ASK}", id="another end"),
        pytest.param(f"Tom {'T' * 28}\nMira: Hello.\nTom {'T' * 28}: {ASK}\nMira:", id="too long a name"),
        pytest.param(f"A:\nMira: Hello.\nTom: {ASK}\nMira:", id="nobody named before"),
        pytest.param(f"To Tom:\nMira: Hello.\nTom; {ASK}\nMira:", id="no name"),
    ],
)
def test_what_is_no_speakers_name_stays(text: str) -> None:
    assert spoken(text).startswith("Tom")


def test_a_name_behind_which_nothing_is_said_stays() -> None:
    text = "A:\nMira: Hello, Tom.\nTom: \nMira:"
    start = text.index("\nTom") + 1
    assert after_speaker(text, start) == start
