"""What is remembered of conversations, for how long, and how the sides of a split are drawn."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pointsman.routing.conversation_keys import ConversationKeys
from pointsman.routing.conversations import ConversationState, ConversationStore


class Table:
    """The table, a clock that the test moves, and draws that count up."""

    def __init__(self, entries: int = 100, seconds: float = 60.0) -> None:
        self.now = 1e6
        draws = itertools.count(1)
        self.table = ConversationStore(lambda: self.now, lambda: next(draws) / 100)
        self.table.resize(entries, seconds)

    def turn(self, key: str, *, session: str = "", continues: bool = False, category: str = "a", **state: Any) -> float:
        """Place a request and remember it; `key` has a letter for each turn. Returns its share."""
        conversation = at(key, session=session, continues=continues)
        lookup = self.table.find(conversation)
        self.table.put(conversation, ConversationState(category, lookup.share, **state))
        return lookup.share

    def category_of(self, key: str, *, session: str = "", continues: bool = False) -> str | None:
        """Return the category of which a request knows."""
        state = self.table.find(at(key, session=session, continues=continues)).remembered
        return None if state is None else state.category


def at(key: str, *, session: str = "", continues: bool = False) -> ConversationKeys:
    previous = f"{session}/{key[:-1]}".encode() if len(key) > 1 else None
    return ConversationKeys(f"{session}/{key}".encode(), previous, session.encode() or None, continues)


def test_a_turn_knows_of_the_one_before_and_of_no_other() -> None:
    world = Table()
    world.turn("x", category="a")
    world.turn("xy", category="b")
    assert (world.category_of("xz"), world.category_of("xyz"), world.category_of("xyzz")) == ("a", "b", None)


def test_a_first_turn_starts_afresh_and_a_step_within_it_does_not() -> None:
    world = Table()
    world.turn("x")
    assert world.category_of("x") is None
    assert world.category_of("x", continues=True) == "a"


def test_a_turn_that_is_asked_again_keeps_its_own_decision() -> None:
    world = Table()
    world.turn("x", category="a")
    world.turn("xy", category="b")
    assert world.category_of("xy") == "b"


@pytest.mark.parametrize(("seconds", "known"), [(60, True), (61, False)])
def test_a_turn_is_remembered_for_its_time(seconds: int, known: bool) -> None:
    world = Table(seconds=60)
    world.turn("x", session="s")
    world.now += seconds
    assert (world.category_of("xy", session="s") == "a") is known


def test_a_step_of_a_tool_loop_keeps_its_turn_in_memory() -> None:
    world = Table(seconds=60)
    world.turn("x")
    world.turn("xy")
    for _ in range(5):
        world.now += 50
        world.turn("xy", continues=True)
    assert world.category_of("xyz") == "a"


def test_the_latest_turns_are_remembered() -> None:
    world = Table(entries=3)
    for key in "wxyz":
        world.turn(key)
    assert [world.category_of(f"{key}.") for key in "wxyz"] == [None, "a", "a", "a"]


# --- sessions -------------------------------------------------------------------------------------------------------


def test_the_latest_turn_of_a_session_counts_where_no_history_is_known() -> None:
    world = Table()
    world.turn("x", session="s", category="a")
    world.turn("xy", session="s", category="b")
    assert world.category_of("qr", session="s") == "b"
    assert world.category_of("qr", session="t") is None
    assert world.category_of("xyz", session="s") == "b"
    assert world.category_of("xz", session="s") == "a", "its own history is known"


def test_a_session_counts_in_no_first_turn_and_no_step_of_one() -> None:
    world = Table()
    world.turn("x", session="s")
    assert world.category_of("q", session="s") is None
    assert world.category_of("q", session="s", continues=True) is None


def test_sub_agents_of_a_session_do_not_meet() -> None:
    """Each begins with an ask of its own, and none of them speaks for the session."""
    world = Table()
    world.turn("x", session="s", category="main", tools=True)
    world.turn("q", session="s", category="sub", tools=True)
    world.turn("q", session="s", category="sub", continues=True, tools=True)
    world.turn("qr", session="s", category="sub")
    assert world.category_of("compacted", session="s") == "main"
    world.turn("xy", session="s", category="main again")
    assert world.category_of("compacted", session="s") == "main again"
    assert world.category_of("qrs", session="s") == "sub"


@pytest.mark.parametrize(
    ("begun", "later"),
    [
        pytest.param({"tools": True}, {"continues": True}, id="that has tools"),
        pytest.param({}, {"continues": True}, id="that takes a second step"),
        pytest.param({}, {"second": True}, id="that has a second turn"),
    ],
)
def test_after_a_single_request_without_tools_the_next_conversation_speaks_for_the_session(
    begun: dict[str, bool], later: dict[str, bool]
) -> None:
    """The first was a probe, or a title was found."""
    world = Table()
    world.turn("p", session="s", category="probe")
    assert world.category_of("compacted", session="s") is None
    world.turn("x", session="s", category="main", **begun)
    world.turn("xy" if later.pop("second", False) else "x", session="s", category="main", **later)
    world.turn("p", session="s", category="probe")
    world.turn("q", session="s", category="title")
    assert world.category_of("compacted", session="s") == "main"


def test_a_further_step_whose_history_is_not_known_is_one_of_its_sessions_turn() -> None:
    """An agent that sums up its history within a loop of tools."""
    world = Table()
    world.turn("x", session="s", tools=True)
    assert world.table.find(at("qr", session="s", continues=True)).same_turn
    assert not world.table.find(at("xy", session="s", continues=True)).same_turn, "its turn before is known"


def test_a_turn_of_which_nothing_is_known_counts_for_its_own_steps() -> None:
    world = Table()
    share = world.turn("x", unread=True)
    assert (world.category_of("x", continues=True), world.category_of("x"), world.category_of("xy")) == (
        "a",
        None,
        None,
    )
    assert world.turn("xy") == share
    world.turn("xyz", unread=True)
    assert world.category_of("xyz") == "a", "asked again, it follows the turn before"


# --- draws ----------------------------------------------------------------------------------------------------------


def test_a_conversation_keeps_its_draw_in_all_turns() -> None:
    world = Table()
    share = world.turn("x")
    assert [world.turn("x", continues=True), world.turn("xy"), world.turn("xy"), world.turn("xyz")] == [share] * 4


def test_each_conversation_draws() -> None:
    world = Table()
    assert len({world.turn(key) for key in "wxyz"}) == 4


def test_conversations_that_share_a_first_turn_share_its_draw_and_draw_anew_in_the_next() -> None:
    """Its steps cannot be told apart, and a tool loop must not switch."""
    world = Table()
    share = world.turn("x")
    assert world.turn("x") == share
    assert world.turn("x", continues=True) == share
    second, other = world.turn("xy"), world.turn("xz")
    assert len({share, second, other}) == 3
    assert world.turn("xyz") == second


def test_a_shared_first_turn_draws_anew_after_its_time_however_often_it_comes() -> None:
    world = Table(seconds=60)
    shares = []
    for _ in range(5):
        shares.append(world.turn("x"))
        world.now += 20
    assert len(set(shares)) == 2


def test_who_repeats_the_first_turn_of_a_session_is_alone_in_it() -> None:
    world = Table()
    share = world.turn("x", session="s")
    assert world.turn("x", session="s") == share
    assert world.turn("xy", session="s") == share
