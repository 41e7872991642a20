"""`pointsman compare`: what it reads of the log, what it counts, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.cli.compare import render
from pointsman.cli.main import main
from pointsman.config.model import Canary, CategoryRollout, Lora, Model, Pricing, RoutingOptions
from pointsman.errors import EvaluationError
from pointsman.experiments import comparison
from pointsman.experiments.comparison import read
from pointsman.experiments.prices import prices_of
from pointsman.experiments.tally import Tally
from pointsman.experiments.verdicts import label_verdicts, verdicts
from pointsman.formats import CHAT
from pointsman.observability.record import Record, request_line
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from support.config_files import ENDPOINTS, write
from support.toy_config import BASE, config

PRICES = {"law": (1e-6, 2e-6), "law-v2": (2e-6, 4e-6)}


def line(draw: str | None = "0a", arm: str = "canary", **fields: Any) -> bytes:
    made: dict[str, Any] = {
        "ts": "2026-11-26T12:00:00.000+00:00",
        "event": "routing_decision",
        "status": 200,
        "reason": "classified",
        "selected_model": "law-v2" if arm == "canary" else "law",
        "category": "law",
        "arm": arm,
        "draw": draw,
        "endpoint": "a",
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "ms": {"first_byte": 100.0, "total": 120.0},
    }
    return json.dumps(made | fields).encode() + b"\n"


def many(count: int, **fields: Any) -> list[bytes]:
    return [line(f"{number:x}", **fields) for number in range(count)]


def of(
    *lines: bytes, names: tuple[str, str] = ("canary", "stable"), since: str = "", label: str = "good"
) -> tuple[Tally, Tally]:
    return read(lines, names, PRICES, since, label)


def test_a_conversation_counts_once_with_all_its_requests() -> None:
    side, _ = of(line(), line(status=502), line("0b"), line("0b", ms={"first_byte": 9.0}))
    assert (side.requests, side.failures()) == (4, (1, 2))
    found = side.figures([])
    assert found["first_byte_ms"] == pytest.approx(dict.fromkeys(("value", "low", "high"), 100.0))
    assert found["tokens"]["value"] == 10
    assert found["cost"]["value"] == pytest.approx(2 * (10 * 2e-6 + 5 * 4e-6))


def test_a_request_without_token_counts_costs_nothing() -> None:
    side, _ = of(*many(2), line("a", prompt_tokens=None, completion_tokens=None))
    assert side.figures([])["cost"]["value"] == pytest.approx(2 / 3 * (10 * 2e-6 + 5 * 4e-6))


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 500},
        {"status": 502},
        {"status": 503},
        {"status": 504},
        {"error": "cut"},
        {"reason": "adapter_missing"},
    ],
)
def test_what_counts_as_a_failure(fields: dict[str, Any]) -> None:
    assert of(line(**fields))[0].failures() == (1, 1)


@pytest.mark.parametrize(
    "left_out",
    [
        line(None),
        line(status=499),
        line(endpoint=""),
        line(event="request"),
        b"<6>nothing\n",
        b'{"draw": \n',
        b'{"draw": 1}\n',
        line(ts="2026-11-25T12:00:00.000+00:00"),
        json.dumps({"event": "routing_decision", "status": 200, "selected_model": "law-v2"}).encode(),
    ],
)
def test_other_lines_are_left_out(left_out: bytes) -> None:
    side, _ = of(left_out, since="2026-11-26")
    assert side.requests == 0


def test_the_journals_priority_is_no_part_of_a_line() -> None:
    assert of(b"<6>" + line())[0].requests == 1


SIDES = (("canary", "law-v2"), ("stable", "law"), ("routed", "law"), ("holdback", BASE))


def test_a_side_is_a_model_or_an_arm() -> None:
    lines = [line(arm=arm, selected_model=model) for arm, model in SIDES]
    assert [side.requests for side in of(*lines, names=("law-v2", "law"))] == [1, 2]
    assert [side.requests for side in of(*lines, names=("routed", "holdback"))] == [3, 1]


def test_there_is_a_bound_on_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_CONVERSATIONS", 10)
    with pytest.raises(EvaluationError, match="more than 10 conversations; use --since"):
        of(*many(11))


def test_a_difference_is_a_verdict_and_none_is_not_enough_yet() -> None:
    good, bad = many(200, arm="stable"), many(200, status=502)
    assert verdicts(*of(*good, *bad), 1) == ["stable fails less often than canary"]
    slow = many(200, ms={"first_byte": 300.0})
    assert verdicts(*of(*good, *slow), 1) == ["stable begins to answer sooner than canary"]
    assert verdicts(*of(*good, *many(200)), 1) == []
    shown = list(render(*of(*good[:20], *bad[:2]), 1, None))
    assert shown[-1] == "verdict: not enough yet; no difference is certain"


def test_all_figures_have_an_interval() -> None:
    shown = "\n".join(render(*of(*many(60, arm="stable"), *many(60, ms={"first_byte": 110.0})), 1, "USD"))
    assert shown.splitlines()[2].split() == ["conversations", "60", "60"]
    assert "0.0 % (0.0 to 6.0)" in shown
    assert "110 ms (110 to 110)" in shown
    assert "5 (5 to 5)" in shown
    assert shown.splitlines()[6].split(maxsplit=3)[3] == "0.04 (0.04 to 0.04)  0.02 (0.02 to 0.02)"
    assert "first byte, canary over stable: 1.10 (" in shown


def said(draw: str | None = "0a", arm: str = "canary", **fields: Any) -> bytes:
    made = {"ts": "2026-11-26T12:05:00.000+00:00", "event": "feedback", "selected_model": arm, "category": "law"}
    return json.dumps(made | {"arm": arm, "draw": draw} | fields).encode() + b"\n"


def test_feedback_counts_by_conversation() -> None:
    lines = said(score=1), said(score=0), said("0b", score=1), said("0c", label="good"), said("0c", label="bad")
    left_out = said(None, score=0), said("0e", score=0, ts="2025-11-26T12:05:00.000+00:00")
    side, other = of(*lines, *left_out, said("0d", "stable", score=0), since="2026")
    assert sum(total for total, _ in side.scored()) == 2 * 0.75
    assert [side.labelled(label) for label in ("good", "bad", "other")] == [(1, 1), (1, 1), (0, 1)]
    assert (list(other.scored()), other.requests) == ([(0.0, 1)], 0)


def test_feedback_is_shown_with_an_interval_where_there_is_any() -> None:
    lines = [said(f"{number}", score=number % 2, label="good") for number in range(100)]
    lines += [said(f"{number}", "stable", label=f"label-{number}") for number in range(6)]
    shown = [" ".join(line.split()) for line in render(*of(*lines), 1, None)]
    assert [line for line in shown if line.startswith("score")] == ["score 0.50 (0.40 to 0.60) -"]
    labelled = [line for line in shown if line.startswith("labeled")]
    assert labelled[0] == "labeled good 100.0 % (96.3 to 100.0) 0.0 % (0.0 to 39.0)"
    assert len(labelled) == 5
    assert not any(line.startswith(("score", "labeled")) for line in render(*of(line()), 1, None))


def judged(arm: str, good: int, of: int = 100, **fields: Any) -> list[bytes]:
    """Feedback on so many conversations, of which so many are good, by three authors."""
    return [
        said(
            f"{number:x}",
            arm,
            **{
                "score": 0.95 * (number < good),
                "label": "good" if number < good else "bad",
                "author": f"{number % 3}",
            }
            | fields,
        )
        for number in range(of)
    ]


def test_feedback_is_in_the_verdict() -> None:
    sides = of(*judged("stable", 50), *judged("canary", 90))
    assert verdicts(*sides, 3) == ["canary is scored higher than stable"]
    assert verdicts(*sides[::-1], 3) == ["canary is scored higher than stable"]
    assert verdicts(*of(*judged("stable", 50), *judged("canary", 55)), 3) == []


def test_a_label_is_in_the_verdict_if_it_is_named() -> None:
    lines = [*judged("stable", 50, score=None), *judged("canary", 90, score=None)]
    assert verdicts(*of(*lines), 1) == []
    assert label_verdicts(*of(*lines), 3, "good") == ["canary is labeled good more often than stable"]
    assert label_verdicts(*of(*lines, label="bad"), 3, "bad") == ["stable is labeled bad more often than canary"]
    assert label_verdicts(*of(*lines, label="other"), 3, "other") == []
    shown = [" ".join(one.split()) for one in render(*of(*lines, label="rare"), 3, None, "rare")]
    assert [one.split()[1:4] for one in shown if one.startswith("labeled")] == [
        ["rare", "0.0", "%"],
        ["good", "90.0", "%"],
        ["bad", "10.0", "%"],
    ]


CERTAIN = ["canary is scored higher than stable"]


def test_a_label_to_judge_is_counted_after_any_number_of_others() -> None:
    """Clients may make them up."""
    others = [said(f"o{number}", label=f"label-{number}") for number in range(30)]
    side, _ = of(*others, said("0a", label="good"))
    assert (len(side.labels), side.labelled("good")) == (22, (1, 31))


def test_the_feedback_of_one_author_decides_nothing_and_that_of_three_does() -> None:
    """On each side; what has no author, from before it was told, is that of one."""
    one = {"author": "mallory"}
    for stable, canary in (
        (judged("stable", 0, 75, **one), judged("canary", 75, 75, **one)),
        (judged("stable", 0, 75, author=""), judged("canary", 75, 75, author="")),
        (judged("stable", 0, 75), judged("canary", 75, 75, **one)),
        (judged("stable", 0, 75, **one), judged("canary", 75, 75)),
    ):
        sides = of(*stable, *canary)
        assert (verdicts(*sides, 3), label_verdicts(*sides, 3, "good")) == ([], [])
        assert (verdicts(*sides, 1), len(label_verdicts(*sides, 1, "good"))) == (CERTAIN, 1)
    sides = of(*judged("stable", 0, 75), *judged("canary", 75, 75))
    assert (verdicts(*sides, 3), len(label_verdicts(*sides, 3, "good"))) == (CERTAIN, 1)
    assert verdicts(*sides, 4) == []


def test_one_author_among_others_counts_for_at_most_half() -> None:
    """And each has a word on an answer of its own, also where two are in one conversation."""
    others = [*judged("stable", 5, 10), *judged("canary", 5, 10)]
    flood = [
        said(f"f{number}", arm, score=float(arm == "canary"), author="m") for number in range(150) for arm in SIDE_NAMES
    ]
    sides = of(*others, *flood)
    assert verdicts(*sides, 1) == CERTAIN
    assert verdicts(*sides, 3) == []
    assert [sum(rows for _, rows in side.scored()) for side in sides] == [160, 160]
    joined = of(*(said(score=1, author=author) for author in "abc"))[0]
    assert sorted(joined.scored()) == [(1.0, 1)] * 3


SIDE_NAMES = ("canary", "stable")


def test_it_says_of_how_many_authors_the_feedback_is() -> None:
    shown = render(*of(*judged("canary", 5, 9), said("f", "stable", score=1, author="a")), 3, None)
    assert [line.split() for line in shown if line.startswith("authors")] == [["authors", "of", "feedback", "3", "1"]]
    assert not any(line.startswith("authors") for line in render(*of(line()), 3, None))


def test_the_command_wants_as_many_authors_as_the_config_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "said").write_bytes(b"".join([*judged("stable", 50, author="a"), *judged("canary", 90, author="a")]))
    output = []
    for routing in ("{}", "{verdict_authors: 1}"):
        text = f"{CONFIG}pointsman: {{log: {{feedback_file: said}}, routing: {routing}}}\n"
        arguments = ["--config", str(write(tmp_path, text)), "--log", str(tmp_path / "log")]
        assert main(["compare", "canary", "stable", *arguments]) == 0
        output.append(capsys.readouterr().out.splitlines()[-1])
    assert output == ["verdict: not enough yet; no difference is certain", f"verdict: {CERTAIN[0]}"]


def test_feedback_of_what_was_routed_is_compared_with_that_of_what_was_held_back() -> None:
    """What an experiment within the routed share was told counts as well."""
    lines = [*judged("holdback", 50), *judged("routed", 90, 60), *judged("canary", 36, 40, category="tax")]
    assert verdicts(*of(*lines, names=("routed", "holdback")), 3) == ["routed is scored higher than holdback"]


def test_there_is_a_bound_on_conversations_with_feedback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_CONVERSATIONS", 10)
    with pytest.raises(EvaluationError, match="more than 10 conversations; use --since"):
        of(*(said(f"{number:x}", score=1) for number in range(11)))


def test_prices_are_the_base_models() -> None:
    base = Model(loras=(Lora(name="law-lora"),), pricing=Pricing(prompt_per_1m=1.0, completion_per_1m=3.0))
    assert prices_of(config(base=base)) == dict.fromkeys((BASE, "law-lora"), (1e-6, 3e-6))


async def test_the_log_has_what_is_read(classifier: Classifier) -> None:
    """The arm, the conversation and the first byte of what is part of an experiment; nothing of what is not."""
    loras = tuple(Lora(name=name) for name in ("technical-lora", "medical-lora", "legal-lora", "technical-v2"))
    tried = {"technical": CategoryRollout(canary=Canary(adapter="technical-v2", percent=100))}
    for options, text, arm in (
        ({"categories": tried}, "python", "canary"),
        ({"categories": tried}, "landlord", None),
        ({"mode": "percent", "percent": 0}, "python", "holdback"),
        ({"mode": "percent", "percent": 99.999}, "python", "routed"),
        ({"mode": "shadow"}, "python", None),
    ):
        made = config(routing=RoutingOptions(**options), base=Model(loras=loras))
        body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
        done = Record("id", "/v1/chat/completions", status=200, endpoint="a", first_byte=0.25)
        done.decided(await Router(made, classifier, ServedModels).route(parse_request(CHAT, body)))
        output = json.loads(json.dumps(request_line(done), default=str))
        assert output.get("arm") == arm
        assert ("draw" in output, output["ms"].get("first_byte")) == (arm is not None, None if arm is None else 250.0)
        if arm is not None:
            assert read([json.dumps(output).encode()], (arm, "x"), {})[0].requests == 1


CONFIG = ENDPOINTS + "model_config: {base: {loras: [{name: law-lora}]}}\ndefault_model: base\n"


def test_the_command_reads_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join([*many(100, arm="stable"), *many(100, status=502)]))
    arguments = ["compare", "canary", "stable", "--config", str(write(tmp_path, CONFIG)), "--log", str(log)]
    assert main([*arguments, "--since", "2026-11-26"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict: stable fails less often than canary"
    assert main([*arguments, "--since", "2026-11-27 08:00"]) == 0
    assert "not enough yet" in capsys.readouterr().out
    assert main([*arguments, "--since", "yesterday"]) == 1
    assert "expected `90m`, `2h`, `3d`" in capsys.readouterr().err
    assert main([*arguments[:-1], str(tmp_path / "none")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_the_command_reads_the_file_of_feedback_and_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_bytes(b"".join(many(3)))
    config = str(write(tmp_path, CONFIG + "pointsman: {log: {feedback_file: said}}\n"))
    arguments = ["compare", "canary", "stable", "--config", config, "--log", str(tmp_path / "log")]
    assert main(arguments) == 0
    assert "score" not in capsys.readouterr().out
    (tmp_path / "said.1").write_bytes(said("1", score=0) + said("2", score=0))
    (tmp_path / "said").write_bytes(said("3", score=1) + said("4", score=1))
    assert main(arguments) == 0
    assert "0.50 (" in capsys.readouterr().out
    (tmp_path / "said").write_bytes(b"".join([*judged("stable", 50), *judged("canary", 90)]))
    assert main([*arguments, "--label", "bad"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "verdict: canary is scored higher than stable",
        "verdict: stable is labeled bad more often than canary",
    ]
    (tmp_path / "said").unlink()
    (tmp_path / "said").mkdir()
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert "0.00 (" in output.out
    assert f"without the feedback in {tmp_path / 'said'}: " in output.err


@pytest.mark.parametrize(("since", "requests"), [("2h", "0"), ("9999d", "100")])
def test_a_time_may_be_so_long_ago(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], since: str, requests: str
) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(many(100, ts="2020-01-01T00:00:00.000+00:00")))
    arguments = ["compare", "canary", "stable", "--config", str(write(tmp_path, CONFIG)), "--log", str(log)]
    assert main([*arguments, "--since", since]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["requests", requests, "0"]
