"""The requests of a log are decided anew as the service would: by its rules, and in their conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.cli.main import main as pointsman
from pointsman.config.model import CategoryRollout, Config, RoutingOptions, Rule
from pointsman.evaluation.decisions import PrecomputedClassifier, results
from pointsman.evaluation.provenance import FileId, provenance
from pointsman.evaluation.reader import TextPredictions
from pointsman.evaluation.replay import DecisionSet, LoggedDecision, compare, read_log, render, samples
from pointsman.evaluation.replayed import LoggedRequest, decide, replayable
from support.config_files import LABELS
from support.toy_config import BASE, config

SAID = {
    "Is python slow?": ("computer science", 0.9),
    "And in the court of the law?": ("law", 0.35),
    "May I sublet my flat?": ("law", 0.9),
    "Can it appeal?": ("law", 0.97),
    "Bonjour tout le monde": ("other", 0.5),
}
ONE, TWO = "000000000001", "800000000000"


def known() -> PrecomputedClassifier:
    texts = list(SAID)
    probabilities = np.array([[(1 - p) / 13] * 14 for _, p in SAID.values()])
    for row, (label, p) in zip(probabilities, SAID.values(), strict=True):
        row[LABELS.index(label)] = p
    count = len(texts)
    languages = ["fr" if text.startswith("Bonjour") else "en" for text in texts]
    supported = np.array([language == "en" for language in languages])
    reading = TextPredictions(probabilities, np.full(count, 7), supported, list(languages), 0, 512, np.ones(count))
    return PrecomputedClassifier(LABELS, None, dict(zip(texts, results(reading, len(LABELS)), strict=True)))


def decided(*asked: LoggedRequest, made: Config | None = None, **routing: Any) -> list[tuple[str | None, str, str]]:
    found = decide(asked, made or config(routing=RoutingOptions(**routing)), known())
    return [(one.category, one.model, one.reason) for one in found]


def test_a_follow_up_stays_in_its_conversation_and_the_same_text_alone_does_not() -> None:
    first = LoggedRequest("Is python slow?", conversation=ONE, turn=1)
    unsure = "And in the court of the law?"
    assert decided(first, LoggedRequest(unsure, conversation=ONE, turn=2))[1] == (
        "technical",
        "technical-lora",
        "sticky",
    )
    assert decided(first, LoggedRequest(unsure, conversation=TWO, turn=2))[1][2] == "low_confidence"
    assert decided(first, LoggedRequest(unsure))[1][2] == "low_confidence"


def test_the_answer_that_is_in_no_log_is_evidence_of_nothing() -> None:
    """Neither that the ask goes on nor that it does not."""
    first = LoggedRequest("Is python slow?", conversation=ONE, turn=1)
    assert decided(first, LoggedRequest("Can it appeal?", conversation=ONE, turn=2))[1][2] == "sticky"
    assert decided(first, LoggedRequest("May I sublet my flat?", conversation=ONE, turn=2))[1] == (
        "legal",
        "legal-lora",
        "classified",
    )


def test_a_first_turn_is_nobodys_follow_up() -> None:
    """Strangers who begin with the same words have one number in their first turn."""
    first = LoggedRequest("Is python slow?", conversation=ONE, turn=1)
    assert decided(first, LoggedRequest("May I sublet my flat?", conversation=ONE, turn=1))[1][0] == "legal"


def test_a_follow_up_without_a_text_stays_also_where_the_log_begins_in_the_middle() -> None:
    follows = LoggedRequest(None, category="legal", conversation=ONE, turn=3)
    assert decided(follows) == [("legal", "legal-lora", "sticky")]
    assert decided(LoggedRequest("Is python slow?", conversation=ONE), follows)[1] == (
        "technical",
        "technical-lora",
        "sticky",
    )


def test_a_rule_decides_by_what_the_log_has() -> None:
    """And not where it did, as it may have been changed."""
    rules = (
        Rule(name="words", keywords=("python",), adapter="medical-lora"),
        Rule(name="address", clients=("192.0.2.0/24",), category="legal"),
        Rule(name="key", keys=("batch",), default=True),
        Rule(name="path", paths=("/v1/messages",), category="medical"),
        Rule(name="french", languages=("fr",), category="medical"),
    )
    asked = (
        LoggedRequest("Is python slow?"),
        LoggedRequest("May I sublet my flat?", client="192.0.2.7"),
        LoggedRequest("May I sublet my flat?", key="batch"),
        LoggedRequest("May I sublet my flat?", path="/v1/messages"),
        LoggedRequest("Bonjour tout le monde"),
        LoggedRequest("May I sublet my flat?", rule="french"),
    )
    assert [model for _, model, _ in decided(*asked, rules=rules)] == [
        "medical-lora",
        "legal-lora",
        BASE,
        "medical-lora",
        "medical-lora",
        "legal-lora",
    ]


def test_a_rule_that_looks_at_what_is_in_no_log_decides_where_it_did() -> None:
    """Headers, images and tools; and of a request that a rule decided, the text was not classified."""
    rules = (
        Rule(name="team", headers={"x-team": "law"}, adapter="legal-lora"),
        Rule(name="words", keywords=("python",), adapter="medical-lora"),
    )
    asked = (
        LoggedRequest("May I sublet my flat?"),
        LoggedRequest(None, rule="team"),
        LoggedRequest(None, rule="words"),
    )
    assert [(model, reason) for _, model, reason in decided(*asked, rules=rules)] == [
        ("legal-lora", "classified"),
        ("legal-lora", "rule"),
        ("medical-lora", "rule"),
    ]
    made = config(routing=RoutingOptions(rules=rules))
    assert [replayable(name, made) for name in ("team", "words", "gone", None)] == [True, True, False, False]
    assert not replayable("team", None)


def test_what_a_rollout_holds_back_is_decided_all_the_same() -> None:
    ways: tuple[dict[str, Any], ...] = (
        {"mode": "shadow"},
        {"mode": "off"},
        {"categories": {"legal": CategoryRollout(mode="shadow")}},
    )
    for routing in ways:
        assert decided(LoggedRequest("May I sublet my flat?"), **routing) == [("legal", "legal-lora", "classified")]


def test_a_conversation_has_the_share_that_it_drew() -> None:
    """By `split: score`, its number says which entry."""
    made = config(routing=RoutingOptions(split="score"))
    (legal,) = (category for category in made.categories if category.name == "legal")
    shares = {
        decided(LoggedRequest("May I sublet my flat?", conversation=n), made=made)[0][1] for n in ("0" * 12, "f" * 12)
    }
    assert len(shares) == min(2, len(legal.model_scores))


def test_of_a_log_what_can_be_decided_again_is_read(tmp_path: Path) -> None:
    event = '{"event":"routing_decision","selected_model":"m"'
    lines = [
        f'{event},"text_hash":"a"}}',
        f'{event},"reason":"rule","rule":"team"}}',
        f'{event},"reason":"sticky","conversation":"{ONE}","turn":2}}',
        f'{event},"reason":"sticky"}}',
        f'{event},"reason":"helper_task","conversation":"{ONE}"}}',
        f'{event},"text_hash":"b","would":{{"model":"legal-lora","reason":"classified"}}}}',
    ]
    (tmp_path / "log").write_text("\n".join(lines))
    found = read_log([tmp_path / "log"])

    assert [(line.text_hash, line.rule, line.turn, line.model) for line in found] == [
        ("a", None, 1, "m"),
        (None, "team", 1, "m"),
        (None, None, 2, "m"),
        ("b", None, 1, "legal-lora"),
    ]


def test_the_table_has_a_sample_of_each_change_and_the_terminal_obeys_none(toy_folder: Path) -> None:
    """Of a long text its beginning, on one line."""
    before = DecisionSet("a", ["x", "x", "x", "y"], ["m"] * 4)
    after = DecisionSet("c", ["y", "y", "x", "z"], ["m"] * 4)
    texts = ["one", "one", "two", f"three\n\x1b[2J {'a' * 200}"]
    found = samples(before, after, texts)
    origin = provenance(artifact.load(toy_folder), FileId("log", "0" * 64), None)

    told = render(compare([LoggedDecision("routing_decision", "a")] * 4, 4, before, after, [], origin), found)

    assert [(one.before, one.after, one.requests, one.texts) for one in found] == [
        ("x", "y", 2, ("one",)),
        ("y", "z", 1, (texts[3],)),
    ]
    assert f"50.0 %\n    one\ny     z          1  25.0 %\n    three ?[2J {'a' * 89}\n" in told
    assert "two" not in told


def test_replay_is_eval_with_a_log(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = tmp_path / "texts"
    texts.write_text('{"hash": "a", "text": "law"}\n')
    log = tmp_path / "log"
    log.write_text('{"event":"routing_decision","text_hash":"a","category":"law"}\n')
    options = [str(log), str(toy_folder), "--threshold", "0.5", "--texts", str(texts)]
    said = []
    for command in (["replay"], ["eval", "--replay"]):
        assert pointsman([*command, *options]) == 0
        said.append(capsys.readouterr().out)
    assert pointsman(["replay", *options[2:], *options[:2]]) == 0
    said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert said[0].startswith("log: 1 decisions")
