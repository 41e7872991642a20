"""Which follow-ups say nothing of their own, and which are understood only with what was said before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pointsman.routing.follow_up import content_free, leans

LOOK_ALIKES = Path(__file__).parents[2] / "benchmarks" / "ask" / "look_alikes.txt"

FREE = [
    *("that did not help", "you didn't answer my question", "where did you get this from", "start over", "lgtm, thx"),
    *("under 100 words pls", "what was number 3 again i lost it", "i like 1 and 4, forget the rest", "give me 10 more"),
    *("geht das auch kürzer?", "no me sirvió", "ça n'a pas marché du tout...", "non era questo", "dalej to samo"),
    *("bit shorter maybe?", "still wrong", "how do you know?", "is it worth it", "say that again but slower", "huh?"),
    *("das zweite bitte", "j'ai pas compris", "¿estás seguro?", "non ho capito", "tem certeza?", "weet je het zeker"),
    *("är du säker", "na pewno?", "anlamadım", "ты уверен?", "本当に?", "再说一遍", "확실해요?", "لم أفهم"),
    *(
        "thanks",
        "Thank you so much!!",
        "ok",
        "Hmm, ok...",
        "go on",
        "why?",
        "Exactly.",
        ":)",
        "👍",
        "?",
        "1.",
        "yes please",
    ),
    *(
        "shorter, please",
        "Could you put that more simply?",
        "as a table",
        "in three bullet points",
        "make it more formal",
    ),
    *(
        "And in Spanish?",
        "translate that to German",
        "give me an example",
        "what do you mean?",
        "that doesn't make sense",
    ),
    *(
        "danke dir",
        "weiter",
        "und jetzt als Tabelle",
        "merci beaucoup",
        "plus court, s'il te plaît",
        "d'accord, continue",
    ),
    *(
        "¿y en una lista?",
        "muchas gracias",
        "grazie mille",
        "più breve, per favore",
        "obrigado",
        "mais curto, por favor",
    ),
    *(
        "leuk, ga door",
        "tack så mycket!",
        "kortere, tak",
        "takk skal du ha",
        "kiitos paljon",
        "Dziękuję!",
        "kratší, prosím",
    ),
    *(
        "köszönöm szépen",
        "mulțumesc",
        "και λίγο πιο σύντομα;",
        "спасибо, короче пожалуйста",
        "дякую",
        "şimdi daha kısa, lütfen",
    ),
    *("شكراً جزيلاً", "مختصر من فضلك", "shukran", "ممنون", "תודה רבה", "कृपया हिंदी में बताइए", "terima kasih", "cảm ơn bạn"),
    *("ありがとう", "もっと短くしてください", "明白了", "谢谢,请用表格", "계속해 주세요", "ขอบคุณครับ"),
]
CONTENT = [
    *("expand (a+b)^3", "continue this: 2, 3, 5, 7, 11", "whats 17.5% of 240", "Why did I get $20?", "what is 12 + 5"),
    *("still getting a 404", "Why did my top up fail?"),
    *("python", "What is a tort?", "Is it legal?", "and if it has lists inside?", "thanks, my knee hurts", "no cheese"),
    *(
        "germany",
        "on delete cascade?",
        "Brazil?",
        "Danke, und mein Vermieter?",
        "merci, et la fièvre ?",
        "¿y el contrato?",
    ),
    *(
        "спасибо, а договор?",
        "谢谢，发烧怎么办",
        "ありがとう、熱があります",
        "감사합니다 계약은요",
        "شكرا، ماذا عن العقد؟",
        "x = 3",
    ),
    "thanks " * 40,
    "ok " * 30,
]


@pytest.mark.parametrize("text", FREE)
def test_courtesy_assent_and_wishes_for_another_form_are_free_of_content_in_any_language(text: str) -> None:
    assert content_free(text)


@pytest.mark.parametrize("text", CONTENT)
def test_a_single_word_of_content_is_content(text: str) -> None:
    assert not content_free(text)


def test_what_only_looks_like_a_follow_up_without_content_has_some() -> None:
    """Of short messages that name something, or ask for something else, none is taken for courtesy or form."""
    assert [text for text in LOOK_ALIKES.read_text("utf-8").splitlines() if content_free(text)] == []


def test_words_of_several_languages_make_no_phrase_unless_they_are_understood_everywhere() -> None:
    assert content_free("ok danke")
    assert not content_free("weiter beaucoup")


@pytest.mark.parametrize(
    "ask",
    [
        *(
            "And what would a doctor do, burn it out?",
            "can somebody have both?",
            "what does that one require",
            "Probation?",
        ),
        *("there was no handover report lol", "ok and does nginx buffer those", "Does it apply to dead people too?"),
        *("Same in Next.js?", "we do agree on everything except the dog", "isn’t that slow though? mine is big"),
        *("i live in berlin with my parents", "i have a small garden behind the house"),
    ],
)
def test_an_ask_leans_on_what_was_said_if_it_goes_on_points_back_or_asks_nothing(ask: str) -> None:
    assert leans(ask)


@pytest.mark.parametrize(
    "ask",
    [
        *(
            "How do you make new friends at 45?",
            "write a limerick about a cat",
            "Is it legal to park here?",
            "i need a bash one-liner",
            "i want more garden behind the house",
        ),
        *(
            "what could cause white spots on fingernails",
            "By the way, it rains. And my knee?",
            "sry first smth else!! it hangs",
        ),
        *("escribe un poema sobre gatos", "schreib ein Gedicht über Katzen", "写一首关于猫的诗"),
        "A company I never heard of sent me a letter about a photo. Do I need to sign what they enclosed?",
    ],
)
def test_a_question_of_its_own_or_an_announced_change_does_not(ask: str) -> None:
    assert not leans(ask)


@pytest.mark.parametrize("unit", ["it ", "a", "?", "is it a", "it's is ", "'", "ok, ", "ありが", "x\n"])
@pytest.mark.parametrize("judge", [content_free, leans])
def test_no_text_takes_long_to_judge(judge: object, unit: str) -> None:
    """A pattern that tries all ways to divide a text would take minutes."""
    assert callable(judge)
    started = time.process_time()
    for size in (100, 150, 2_000, 200_000):
        judge(unit * (size // len(unit)))
    assert time.process_time() - started < 5
