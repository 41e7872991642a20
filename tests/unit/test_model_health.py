"""When a model counts as failing or slow, in comparison with which others, and when no more."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.config.model import AdapterOptions, Options
from support.fleet import BASE, Watched, adapters, answered, left, serving

FAILED: dict[str, Any] = {"status": 500, "failed": True, "answered": 0.02}
WHOLE: dict[str, Any] = {"streamed": False, "tokens": (100, 100)}
THREE = ("adapter-0", "adapter-1", "adapter-2")

Ended = tuple[str, int, dict[str, Any]]


@pytest.fixture
def fleet() -> Watched:
    """A base model and three adapters, of which nobody has asked anything yet."""
    return Watched(serving(3))


def ends(model: str, count: int, **fields: Any) -> Ended:
    """Requests of a model that end at the same time."""
    return model, count, fields


def told(watched: Watched, ended: list[Ended]) -> dict[str, str]:
    """Return what is said once these requests have ended: a model or an endpoint, and its problem."""
    for model, count, fields in ended:
        watched.ends(model, count, **fields)
    return dict(reached(watched))


def reached(watched: Watched) -> list[tuple[str, str]]:
    watched.wait(5.0)
    return watched.warnings()


# --- failing --------------------------------------------------------------------------------------------------------


def test_an_adapter_that_fails_far_more_often_than_its_base_model_is_failing(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 20, **FAILED)
    assert reached(fleet) == [("adapter-0", "failing")]
    (line,) = fleet.said
    assert line["message"] == "20 of its newest 20 requests failed, of its base model base 0%"


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        pytest.param([ends("adapter-0", 10, **FAILED)], {"adapter-0": "failing"}, id="with nobody to compare it with"),
        pytest.param(
            [ends("adapter-1", 15), ends(BASE, 10, **FAILED)], {BASE: "failing"}, id="a base model, beside all others"
        ),
        pytest.param(
            [
                *[ends(BASE, 10), ends(BASE, 10, **FAILED)],
                *[ends("adapter-0", 8), ends("adapter-0", 12, **FAILED)],
                *[ends("adapter-1", 20), ends("adapter-2", 20)],
            ],
            {BASE: "failing"},
            id="an adapter that fails as often as its base model is not to blame",
        ),
        pytest.param(
            [ends("adapter-1", 4, **FAILED), ends("adapter-0", 10, **FAILED)],
            {"adapter-0": "failing"},
            id="fewer than five requests of others are no comparison",
        ),
        pytest.param(
            [
                ends(BASE, 20),
                ends("adapter-0", 11, status=500, failed=True, answered=None),
                ends("adapter-0", 9, answered=3.0),
            ],
            {"adapter-0": "failing"},
            id="most of the newest twenty must have begun to come to be slow",
        ),
        pytest.param(
            [ends("adapter-1", 20, **FAILED | {"streamed": True}), ends("adapter-0", 20, answered=2.0)],
            {"adapter-1": "failing"},
            id="what fails at once is not fast, and makes no other slow",
        ),
    ],
)
def test_which_models_are_failing(fleet: Watched, ended: list[Ended], said: dict[str, str]) -> None:
    assert told(fleet, ended) == said


@pytest.mark.parametrize(("failed", "said"), [(5, False), (6, True)])
def test_six_of_the_newest_twenty_must_have_failed(fleet: Watched, failed: int, said: bool) -> None:
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 20, **FAILED)
    fleet.ends("adapter-0", 20 - failed)
    fleet.ends("adapter-0", failed, **FAILED)
    assert bool(reached(fleet)) == said


def test_an_adapter_with_few_requests_is_failing_from_the_sixth_failure_within_five_minutes(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    for _ in range(5):
        fleet.ends("adapter-0", **FAILED)
        fleet.wait(45.0)
    assert fleet.warnings() == []
    fleet.ends("adapter-0", **FAILED)
    assert reached(fleet) == [("adapter-0", "failing")]


def test_what_is_older_than_five_minutes_does_not_count(fleet: Watched) -> None:
    fleet.ends("adapter-0", 5, **FAILED)
    fleet.wait(301.0)
    fleet.ends("adapter-0", 5, **FAILED)
    assert reached(fleet) == []


def test_without_a_base_model_that_is_asked_all_others_are_what_it_is_compared_with(fleet: Watched) -> None:
    fleet.ends("adapter-1", 15)
    fleet.ends("adapter-0", 10, **FAILED)
    assert reached(fleet) == [("adapter-0", "failing")]
    (line,) = fleet.said
    assert line["message"].endswith("of all others 0%")


# --- slow -----------------------------------------------------------------------------------------------------------


def test_an_adapter_whose_first_byte_takes_far_longer_is_slow(fleet: Watched) -> None:
    fleet.ends(BASE, 5)
    fleet.ends("adapter-0", 20, answered=3.0)
    assert reached(fleet) == [("adapter-0", "slow")]
    (line,) = fleet.said
    assert line["message"] == "the first byte takes 3.00 s (median), of comparable requests 0.20 s"


@pytest.mark.parametrize(
    ("usual", "found", "said"),
    [
        pytest.param(0.4, 1.99, False, id="less than five times as long"),
        pytest.param(0.4, 2.01, True, id="five times as long"),
        pytest.param(0.01, 1.0, False, id="less than a second longer"),
        pytest.param(0.01, 1.02, True, id="a second longer"),
    ],
)
def test_slow_is_five_times_as_long_and_a_second_longer(fleet: Watched, usual: float, found: float, said: bool) -> None:
    fleet.ends(BASE, 5, answered=usual)
    fleet.ends("adapter-0", 20, answered=found)
    assert bool(reached(fleet)) == said


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        pytest.param(
            [ends(BASE, 20), ends("adapter-0", 19, answered=3.0)], {}, id="nineteen requests are too few to be slow"
        ),
        pytest.param(
            [ends(BASE, 20), ends("adapter-1", 9, answered=30.0), ends("adapter-1", 11)],
            {},
            id="cold starts are no median",
        ),
        pytest.param(
            [ends("adapter-1", 5), ends("adapter-2", 20, answered=1.0), ends("adapter-0", 20, answered=4.0)],
            {"adapter-0": "slow"},
            id="without a base model the middle of the others counts, however busy one is",
        ),
        pytest.param(
            [
                *[ends(name, 8, answered=1.0) for name in (BASE, "adapter-0", "adapter-1")],
                *[ends(name, 30, **left(8.0)) for name in (BASE, "adapter-0", "adapter-1", "adapter-0")],
            ],
            {},
            id="under load clients of all models leave alike",
        ),
        pytest.param(
            [ends(BASE, 20, answered=0.5, sent_bytes=100_000), ends("adapter-0", 20, answered=1.6)],
            {},
            id="shorter prompts need not be faster",
        ),
        pytest.param(
            [
                *[ends(BASE, 11), ends(BASE, 9, endpoint="b", answered=1.0)],
                ends("adapter-0", 20, endpoint="b", answered=3.5),
            ],
            {},
            id="what a slower endpoint answers is compared with what it answers",
        ),
        pytest.param(
            [ends(BASE, 11), ends("adapter-0", 20, endpoint="b", answered=3.5)],
            {"adapter-0": "slow"},
            id="where nothing comparable was sent there, with other endpoints",
        ),
    ],
)
def test_which_models_are_slow(fleet: Watched, ended: list[Ended], said: dict[str, str]) -> None:
    assert told(fleet, ended) == said


def test_models_of_another_base_model_are_no_comparison() -> None:
    watched = Watched(serving(3, "other"))
    assert told(watched, [ends("other", 20, answered=4.0), ends("adapter-0", 20)]) == {}


@pytest.mark.parametrize(
    ("usual", "found", "said"),
    [
        pytest.param({}, {"sent_bytes": 3_000}, True, id="prompts three times as long"),
        pytest.param({}, {"sent_bytes": 5_000}, False, id="so long that they may take so long"),
        pytest.param({"sent_bytes": 100_000}, {}, True, id="shorter ones"),
        pytest.param(WHOLE, WHOLE, True, id="whole answers of the same length"),
        pytest.param(WHOLE, WHOLE | {"tokens": (100, 500)}, False, id="answers that take as long to write"),
        pytest.param({}, {"tokens": (100, 500)}, True, id="the length of a stream is no excuse"),
        pytest.param({}, WHOLE, False, id="a whole answer is no stream"),
        pytest.param(WHOLE, {}, False, id="nor the other way round"),
        pytest.param(WHOLE | {"tokens": None, "answered": 0.005}, WHOLE, False, id="nor what has no tokens, a count"),
    ],
)
def test_only_what_is_comparable_is_compared(
    fleet: Watched, usual: dict[str, Any], found: dict[str, Any], said: bool
) -> None:
    """A first byte takes longer where there is more to read, or to write before it: at most in proportion."""
    fleet.ends(BASE, 20, **usual)
    fleet.ends("adapter-0", 20, **found, answered=4.0)
    assert bool(reached(fleet)) == said


def test_a_slow_adapter_that_fails_now_and_then_is_judged_by_what_it_answers(fleet: Watched) -> None:
    """Errors are no streams."""
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 10, answered=3.0)
    fleet.ends("adapter-0", 10, **FAILED, streamed=False, tokens=(1, 1))
    assert reached(fleet) == [("adapter-0", "failing"), ("adapter-0", "slow")]


@pytest.mark.parametrize(
    ("usual", "found", "seconds", "said"),
    [
        pytest.param(1, 60, 3.0, False, id="a batch, after requests that were asked before it"),
        pytest.param(60, 60, 3.0, True, id="the others waited as well"),
        pytest.param(1, 4, 3.0, True, id="so few wait for nothing"),
        pytest.param(60, 1, 1.6, False, id="a free endpoint need not be faster"),
    ],
)
def test_a_queue_that_the_others_have_not_seen_is_no_fault_of_the_model(
    fleet: Watched, usual: int, found: int, seconds: float, said: bool
) -> None:
    for _ in range(5):
        fleet.ends(BASE, answered=0.4, in_flight=usual)
        fleet.wait(50.0)
    fleet.ends("adapter-0", 20, answered=seconds, in_flight=found)
    assert bool(reached(fleet)) == said


@pytest.mark.parametrize("usual", [{}, WHOLE | {"answered": 0.2}])
def test_an_adapter_that_hangs_until_its_clients_leave_is_slow(fleet: Watched, usual: dict[str, Any]) -> None:
    """Before the head nobody knows whether it would be a stream: it is taken for what the comparison mostly has."""
    fleet.ends(BASE, 20, **usual)
    fleet.ends("adapter-0", 19, **left(10.0))
    assert reached(fleet) == []
    fleet.ends("adapter-0", **left(10.0))
    assert reached(fleet) == [("adapter-0", "slow")]
    (line,) = fleet.said
    assert "takes at least 10.00 s (median; 20 clients left before it), of comparable" in line["message"]


def test_an_adapter_that_begins_to_hang_is_slow_once_most_of_its_newest_twenty_clients_have_left(
    fleet: Watched,
) -> None:
    """Whole answers are compared with whole ones, of as many tokens as those that came before."""
    for _ in range(20):
        fleet.ends(BASE, **WHOLE | {"answered": 0.2})
        fleet.ends("adapter-0", **WHOLE | {"answered": 0.2})
    fleet.ends("adapter-1", 20, answered=1.9)  # streams, which say nothing of whole answers
    fleet.ends("adapter-0", 9, **left(10.0))
    assert reached(fleet) == []
    fleet.ends("adapter-0", 2, **left(10.0))
    assert reached(fleet) == [("adapter-0", "slow")]


@pytest.mark.parametrize(("seconds", "said"), [(9.0, False), (11.0, True)])
def test_what_may_be_a_whole_answer_is_no_slow_stream(fleet: Watched, seconds: float, said: bool) -> None:
    """It is slow where it would be as either of the two; in a stream that has begun, there is no doubt."""
    for name in (BASE, "adapter-1"):
        fleet.ends(name, 12)
        fleet.ends(name, 8, **WHOLE, answered=2.0)
    fleet.ends("adapter-0", 6)
    fleet.ends("adapter-0", 14, **left(seconds))
    fleet.ends("adapter-2", 20, **left(3.0, streamed=True))
    assert reached(fleet) == [*([("adapter-0", "slow")] if said else []), ("adapter-2", "slow")]


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_clients_that_leave_soon_make_no_adapter_fast_and_hide_no_failure(fleet: Watched, seconds: float) -> None:
    """Less than is usual, or than the adapter takes, says nothing."""
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 20, answered=3.0)
    fleet.ends("adapter-0", 40, **left(seconds))
    fleet.ends("adapter-1", 6, **FAILED)
    fleet.ends("adapter-1", 40, **left(seconds))
    assert reached(fleet) == [("adapter-1", "failing"), ("adapter-0", "slow")]


def test_an_adapter_that_hangs_is_seen_among_clients_that_leave_soon(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    for _ in range(20):
        fleet.ends("adapter-0", **left(10.0))
        fleet.ends("adapter-0", 2, **left(0.1))
    assert reached(fleet) == [("adapter-0", "slow")]


def test_by_clients_that_leave_no_adapter_is_well(fleet: Watched) -> None:
    fleet.ends("adapter-0", 20, answered=3.0)
    for _ in range(40):
        fleet.ends(BASE, 2)
        fleet.ends("adapter-0", **left(0.3))
        fleet.wait(10.0)
    assert [line["state"] for line in fleet.said] == ["slow"]
    for _ in range(9):
        fleet.ends("adapter-0", 5)
        fleet.wait(10.0)
    assert [line["state"] for line in fleet.said] == ["slow", "no longer slow"]


def test_an_endpoint_where_all_models_hang_is_said_once() -> None:
    """In comparison with the hour before; and with other endpoints."""
    watched = Watched(serving(3))
    for name in (BASE, *adapters(3)):
        watched.ends(name, 20, endpoint="a")
    watched.wait(310.0)
    for name in adapters(3):
        watched.ends(name, 9, endpoint="a", **left(10.0))
    assert reached(watched) == []
    for name in adapters(3):
        watched.ends(name, endpoint="a", **left(10.0))
    assert reached(watched) == [("a", "slow")]
    assert "3 of the 3 models that a has answered for are slow" in watched.said[0]["message"]


# --- the endpoint's fault -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "what", "words"), [(FAILED, "failing", "fail"), ({"answered": 3.0}, "slow", "are slow")]
)
def test_what_most_adapters_have_in_common_is_said_once_of_the_endpoint(
    bad: dict[str, Any], what: str, words: str
) -> None:
    watched = Watched(serving(12))
    watched.ends(BASE, 20)
    for name in adapters(12):
        watched.ends(name, 20, **bad)
    assert reached(watched) == [("a", what)]
    (line,) = watched.said
    assert line["message"] == f"12 of the 13 models that a has answered for {words}"
    assert line["models"] == adapters(12)
    assert watched.watch.endpoints(what, lambda: ["a", "b"]) == {"a": 1.0, "b": 0.0}
    assert set(watched.watch.models(what).values()) == {0.0}, "one alert, and not twelve"
    (finding,) = watched.watch.report()
    assert (finding["kind"], finding["name"], finding["state"], finding["models"]) == (
        "endpoint",
        "a",
        what,
        adapters(12),
    )


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        pytest.param(
            [
                *[ends(name, 20) for name in (BASE, *THREE)],
                *[ends(name, 20, endpoint="b", answered=3.0, in_flight=200) for name in THREE],
            ],
            {"b": "slow"},
            id="a queue of all models is no excuse",
        ),
        pytest.param(
            [
                *[ends(name, 10) for name in (BASE, *THREE)],
                *[ends(name, 10, endpoint="b", answered=4.0) for name in (BASE, *THREE)],
            ],
            {"b": "slow"},
            id="slow in comparison with the others",
        ),
        pytest.param(
            [ends(BASE, 20), *[ends(name, 20, endpoint="b", **FAILED) for name in THREE]],
            {"b": "failing"},
            id="all models of it that fail say nothing of the adapters",
        ),
        pytest.param(
            [*[ends(name, 3) for name in THREE], *[ends(name, 2, **FAILED) for name in THREE]],
            {},
            id="not for a failure or two of each model",
        ),
        pytest.param(
            [
                *[ends(BASE, 20), *[ends(name, 14, endpoint="b", answered=3.0) for name in THREE]],
                ends("adapter-0", 6, answered=3.0),
            ],
            {"b": "slow"},
            id="what it is to blame for does not count against an adapter",
        ),
        pytest.param(
            [
                *[ends(BASE, 20), *[ends(name, 10, endpoint="b", **FAILED) for name in THREE]],
                ends("adapter-0", 10, **FAILED),
            ],
            {"adapter-0": "failing", "b": "failing"},
            id="an adapter that fails at another endpoint too is said as well",
        ),
    ],
)
def test_when_an_endpoint_is_to_blame(fleet: Watched, ended: list[Ended], said: dict[str, str]) -> None:
    assert told(fleet, ended) == said


def test_a_few_adapters_that_fail_are_not_the_endpoints_fault() -> None:
    names = {name: FAILED if name in {"adapter-0", "adapter-1"} else {} for name in (BASE, *adapters(5))}
    ended = [ends(name, 20, **fields) for name, fields in names.items()]
    assert told(Watched(serving(5)), ended) == {"adapter-0": "failing", "adapter-1": "failing"}


def test_it_is_the_endpoints_fault_before_the_first_adapter_has_twenty_requests() -> None:
    watched = Watched(serving(12))
    watched.ends(BASE, 20)
    for _ in range(20):
        for name in adapters(12):
            watched.ends(name, 1 + (name == "adapter-0"), answered=3.0)
        watched.wait(5.0)
    assert watched.warnings() == [("a", "slow")]


def test_adapters_that_are_all_slow_alike_are_said_once_in_comparison_with_the_hour_before() -> None:
    """Where the base model is not asked, and there is no other endpoint."""
    watched = Watched(serving(12))

    def asked(minutes: int, seconds: float) -> list[tuple[str, str]]:
        for _ in range(minutes):
            for name in adapters(12):
                watched.ends(name, 20, answered=seconds)
            watched.wait(60.0)
        return [(line["endpoint"], line["state"]) for line in watched.said]

    assert asked(20, 0.2) == []
    assert asked(1, 3.0) == [("a", "slow")]
    assert asked(40, 3.0) == [("a", "slow")]
    assert asked(3, 0.2) == [("a", "slow"), ("a", "no longer slow")]
    assert asked(75, 3.0) == [("a", state) for state in ("slow", "no longer slow") * 2], "it is usual after an hour"


@pytest.mark.parametrize(("bad", "what"), [(FAILED, "failing"), ({"answered": 3.0}, "slow")])
def test_what_was_said_of_a_busy_adapter_is_over_at_once_when_it_is_the_endpoints_fault(
    bad: dict[str, Any], what: str
) -> None:
    watched = Watched(serving(3))
    for name in adapters(3):
        watched.ends(name, 20)
    watched.ends("adapter-0", 20, **bad)
    assert reached(watched) == [("adapter-0", what)]
    for name in adapters(3):
        watched.ends(name, 12, **bad)
    assert reached(watched)[1:] == [("a", what)]
    assert set(watched.watch.models(what).values()) == {0.0}


@pytest.mark.parametrize("bad", [FAILED, {"answered": 6.0}, left(10.0)], ids=["failing", "slow", "hung"])
def test_what_most_models_got_at_the_same_time_does_not_count_against_one_that_is_asked_seldom(
    bad: dict[str, Any],
) -> None:
    """Its newest requests are from then for longer than those of the others."""
    watched = Watched(serving(4))

    def asked(seconds: int, **fields: Any) -> None:
        for _ in range(seconds // 10):
            watched.ends("adapter-0", **fields)
            for name in (BASE, *adapters(4)[1:]):
                watched.ends(name, 20, **fields)
            watched.wait(10.0)

    asked(400)
    asked(120, **bad)
    asked(300)
    assert [name for name, _ in watched.warnings()] == ["a"]


# --- over -----------------------------------------------------------------------------------------------------------


def states(watched: Watched) -> list[tuple[str, str]]:
    return [(line["level"], line["state"]) for line in watched.said]


def failing_for(watched: Watched, seconds: float = 30.0) -> None:
    watched.ends(BASE, 20)
    watched.ends("adapter-0", 20, **FAILED)
    watched.wait(seconds)


def test_it_is_over_once_it_has_been_fine_for_a_minute(fleet: Watched) -> None:
    failing_for(fleet)
    fleet.ends("adapter-0", 20)
    fleet.wait(60.0)
    assert states(fleet) == [("warning", "failing")]
    fleet.wait(10.0)
    assert states(fleet) == [("warning", "failing"), ("info", "no longer failing")]
    assert fleet.said[1]["model"] == "adapter-0"
    assert fleet.said[1]["after_s"] == 90


def test_the_minute_begins_anew_with_each_time_that_it_is_not_fine(fleet: Watched) -> None:
    failing_for(fleet)
    for fails in (0, 2, 0):
        fleet.ends("adapter-0", 20 - fails)
        fleet.ends("adapter-0", fails, **FAILED)
        fleet.wait(50.0)
    assert states(fleet) == [("warning", "failing")]


def test_between_fine_and_failing_whatever_was_the_case_goes_on(fleet: Watched) -> None:
    failing_for(fleet)
    for _ in range(50):
        fleet.ends(BASE, 20)
        fleet.ends("adapter-0", 18)
        fleet.ends("adapter-0", 2, **FAILED)
        fleet.wait(10.0)
    assert states(fleet) == [("warning", "failing")]


def test_an_adapter_that_is_failing_for_hours_is_said_once(fleet: Watched) -> None:
    for _ in range(60):
        failing_for(fleet, 60.0)
    assert states(fleet) == [("warning", "failing")]


def test_without_a_request_for_five_minutes_it_is_over_as_nothing_is_known(fleet: Watched) -> None:
    failing_for(fleet)
    fleet.wait(300.0)
    assert states(fleet) == [("warning", "failing"), ("info", "no longer failing")]


def test_a_slow_adapter_is_over_below_half_of_the_factor(fleet: Watched) -> None:
    def asked(seconds: float) -> list[tuple[str, str]]:
        for _ in range(10):
            fleet.ends(BASE, 20, answered=1.0)
            fleet.ends("adapter-0", 20, answered=seconds)
            fleet.wait(10.0)
        return states(fleet)

    assert asked(6.0) == [("warning", "slow")]
    assert asked(2.6) == [("warning", "slow")]
    assert asked(2.4) == [("warning", "slow"), ("info", "no longer slow")]


def test_a_slow_adapter_is_over_when_it_is_asked_too_seldom_to_know(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 20, answered=3.0)
    for _ in range(8):
        fleet.wait(80.0)
        fleet.ends(BASE, 5)
        fleet.ends("adapter-0")
    assert states(fleet) == [("warning", "slow"), ("info", "no longer slow")]


@pytest.mark.parametrize(("seconds", "over"), [(0.4, True), (0.6, False), (3.0, False)])
def test_without_comparison_a_slow_adapter_is_over_below_half_a_second(
    fleet: Watched, seconds: float, over: bool
) -> None:
    fleet.ends(BASE, 20)
    for minute in range(16):
        fleet.ends("adapter-0", 20, answered=3.0 if minute < 8 else seconds)
        fleet.wait(60.0)
    assert states(fleet) == [("warning", "slow"), ("info", "no longer slow")][: 1 + over]


# --- the options, and what is counted -------------------------------------------------------------------------------


def test_the_bounds_are_options_and_a_reload_changes_them(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    fleet.ends("adapter-0", 12)
    fleet.ends("adapter-0", 8, **FAILED)
    fleet.ends("adapter-1", 20, answered=1.5)
    fleet.watch.follow(serving(3, pointsman=Options(adapters=AdapterOptions(failing_share=0.5, slow_factor=10.0))))
    assert reached(fleet) == []
    fleet.watch.follow(serving(3))
    assert reached(fleet) == [("adapter-0", "failing"), ("adapter-1", "slow")]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"status": 400}, id="the client's fault"),
        pytest.param({"status": 404}, id="a model that is not there"),
        pytest.param({"status": 499}, id="a client that left"),
        pytest.param({"status": 429}, id="a limit"),
        pytest.param({"status": 503}, id="no room, or a full queue"),
        pytest.param({"status": 502, "endpoint": None}, id="no endpoint"),
        pytest.param({"endpoint": None}, id="what vLLM was not asked"),
    ],
)
def test_what_vllm_is_not_to_blame_for_is_not_counted(fleet: Watched, fields: dict[str, Any]) -> None:
    fleet.ends("adapter-0", 5)
    fleet.ends("adapter-0", 20, **fields)
    fleet.wait(5.0)
    assert len(fleet.watch._windows.recent(fleet.now)["adapter-0"]) == 5


def test_names_that_the_config_does_not_have_take_bounded_memory_and_one_label(fleet: Watched) -> None:
    for number in range(40):
        name = "x" * 9000 + str(number)
        record = answered(name, name, **(FAILED if number == 3 else {}))
        fleet.watch.add([record] * 30)
    windows = fleet.watch._windows._windows
    assert len(windows) == 16
    assert all(len(window.answered) <= 20 and len(name.encode()) <= 256 for name, window in windows.items())
    fleet.wait(5.0)
    assert fleet.watch.models("failing") == {BASE: 0, "adapter-0": 0, "adapter-1": 0, "adapter-2": 0, "other": 1}
    fleet.wait(301.0)
    assert windows == {}
    for number in range(20):
        fleet.watch.add([answered(f"new-{number}", f"new-{number}", started=fleet.now)])
    assert len(windows) == 16


def test_of_models_that_a_reload_takes_away_sixteen_are_watched_on() -> None:
    watched = Watched(serving(30))
    for name in adapters(30):
        watched.ends(name, 6, **FAILED)
    watched.ends(BASE, 20)
    watched.watch._settle()
    watched.watch.follow(serving(1))
    assert len(watched.watch._windows.recent(0.0)) == 2 + 16
    watched.ends("new", base="new")
    watched.watch._settle()
    assert len(watched.watch._windows.recent(0.0)) == 2 + 16


def test_a_model_that_the_config_does_not_have_is_compared_with_the_only_base_model(fleet: Watched) -> None:
    fleet.ends(BASE, 20)
    fleet.watch.add([answered("theirs", "theirs", answered=3.0) for _ in range(20)])
    assert reached(fleet) == [("theirs", "slow")]


def test_the_served_name_of_a_base_model_counts_as_the_base_model(fleet: Watched) -> None:
    fleet.watch.add([answered("org/served-path", BASE)])
    assert list(fleet.watch._windows._windows) == [BASE]
