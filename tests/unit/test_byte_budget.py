"""Who may hold how many bytes of requests, and in which order bodies that wait get room."""

from __future__ import annotations

import random

import pytest

from pointsman.server.byte_budget import BodyWaiter, ByteBudget, ClientBudget

KIB = 1024
LARGE = 128 * KIB
SMALL = 32 * KIB


class Desk:
    """A budget of 1 MiB, and what was granted by name, in order."""

    def __init__(self) -> None:
        self.budget = ByteBudget(1024 * KIB)
        self.granted: list[str] = []

    def client(self, *, limited: bool = True) -> ClientBudget:
        return ClientBudget(self.budget, limited=limited)

    def wait(self, share: ClientBudget, size: int, name: str = "") -> BodyWaiter | None:
        return share.wait(size, lambda: self.granted.append(name))

    def fill(self, size: int = 768 * KIB) -> ClientBudget:
        """Somebody without a limit of its own holds so much."""
        holder = self.client(limited=False)
        assert holder.reserve(size)
        return holder


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- who may hold how much ----------------------------------------------------------------------------------------


def test_one_client_holds_at_most_a_quarter(desk: Desk) -> None:
    client = desk.client()
    assert client.reserve(256 * KIB - 1)
    assert not client.reserve(2)
    assert client.reserve(1)
    assert not client.reserve(1)
    assert desk.client().reserve(LARGE)


def test_a_proxy_of_many_clients_may_hold_more(desk: Desk) -> None:
    assert desk.client(limited=False).reserve(512 * KIB)


def test_an_eighth_is_kept_for_bodies_under_64_kib(desk: Desk) -> None:
    desk.fill(768 * KIB - 1)
    client = desk.client()
    assert not client.reserve(64 * KIB)
    assert client.reserve(64 * KIB - 1)
    assert client.reserve(64 * KIB - 1)
    assert not client.reserve(4)
    assert client.reserve(3)


def test_a_body_that_grows_is_small_only_as_long_as_it_is(desk: Desk) -> None:
    desk.fill()
    client = desk.client()
    assert client.reserve(60 * KIB, 60 * KIB)
    assert not client.reserve(4 * KIB, 64 * KIB)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_bodies_get_room_in_the_order_in_which_they_came(desk: Desk) -> None:
    holder = desk.fill()
    for name in "abc":
        desk.wait(desk.client(), LARGE, name)
    assert desk.budget.waiting == 3
    holder.release(2 * LARGE - 1)
    assert desk.granted == ["a"]
    holder.release(1)
    assert desk.granted == ["a", "b"]
    assert desk.budget.used == 768 * KIB


def test_a_body_that_waits_is_not_overtaken_by_one_that_comes_and_would_fit(desk: Desk) -> None:
    holder = desk.fill()
    desk.wait(desk.client(), 2 * LARGE, "first")
    holder.release(LARGE)
    other = desk.client()
    assert not other.reserve(LARGE)
    desk.wait(other, LARGE, "second")
    assert desk.granted == []
    holder.release(LARGE)
    assert desk.granted == ["first"]


def test_a_small_one_overtakes(desk: Desk) -> None:
    desk.fill()
    desk.wait(desk.client(), LARGE)
    assert desk.client().reserve(SMALL)


def test_one_that_waits_for_its_own_clients_share_holds_up_nobody_else(desk: Desk) -> None:
    greedy = desk.client()
    assert greedy.reserve(2 * LARGE)
    desk.wait(greedy, LARGE, "greedy")
    assert desk.client().reserve(LARGE)
    desk.wait(desk.client(), LARGE, "other")
    assert desk.granted == ["other"]
    greedy.release(LARGE)
    assert desk.granted == ["other", "greedy"]


def test_one_that_waits_no_longer_lets_the_next_go_first(desk: Desk) -> None:
    holder = desk.fill()
    first = desk.wait(desk.client(), 2 * LARGE, "first")
    desk.wait(desk.client(), LARGE, "second")
    holder.release(LARGE)
    assert first is not None
    first.cancel()
    first.cancel()
    assert desk.granted == ["second"]
    assert desk.budget.waiting == 0


def test_room_that_is_granted_is_not_given_back_by_a_cancel_that_is_late(desk: Desk) -> None:
    waiter = desk.wait(desk.client(), LARGE, "a")
    assert waiter is not None
    waiter.cancel()
    assert desk.budget.used == LARGE


def test_at_most_256_wait_and_64_of_one_client(desk: Desk) -> None:
    desk.fill()
    clients = [desk.client() for _ in range(5)]
    for client in clients[:4]:
        assert all(desk.wait(client, LARGE) for _ in range(64))
        assert desk.wait(client, LARGE) is None
    assert desk.wait(clients[4], LARGE) is None
    assert desk.budget.waiting == 256


@pytest.mark.parametrize(("limited", "size"), [(True, 256 * KIB + 1), (False, 768 * KIB + 1)])
def test_a_body_that_can_never_have_room_does_not_wait(desk: Desk, limited: bool, size: int) -> None:
    assert desk.wait(desk.client(limited=limited), size) is None
    assert desk.wait(desk.client(limited=limited), size - 1) is not None


def test_a_body_of_unknown_length_may_overtake_for_it_must_not_wait_half_read(desk: Desk) -> None:
    desk.fill(640 * KIB)
    desk.wait(desk.client(), 2 * LARGE)
    assert desk.client().reserve(LARGE, LARGE)


# --- bytes that are not parsed ------------------------------------------------------------------------------------


def test_an_eighth_is_for_bytes_that_are_not_parsed_and_a_quarter_of_it_for_one_client(desk: Desk) -> None:
    clients = [desk.client() for _ in range(5)]
    for client in clients[:4]:
        assert client.keep(32 * KIB)
        assert not client.keep(1)
    assert not clients[4].keep(1)
    assert desk.budget.used == 128 * KIB
    clients[0].drop(32 * KIB)
    assert clients[4].keep(32 * KIB)


def test_however_many_bodies_wait_the_bytes_that_came_with_them_do_not_take_their_room(desk: Desk) -> None:
    holders = [desk.client() for _ in range(3)]
    for holder in holders:
        assert holder.reserve(2 * LARGE)
    for _ in range(4):
        client = desk.client()
        assert client.keep(32 * KIB)
        desk.wait(client, 2 * LARGE, "x")
    for holder in holders:
        holder.release(2 * LARGE)
    assert desk.granted == ["x"] * 3


# --- any order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_no_bound_is_passed_and_everybody_gets_a_turn(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    budget = ByteBudget(1024 * KIB)
    clients = [ClientBudget(budget, limited=number > 0) for number in range(6)]
    reserved: list[tuple[ClientBudget, int]] = []
    waiters: list[BodyWaiter] = []

    def wait(client: ClientBudget, size: int) -> None:
        waiter = client.wait(size, lambda: reserved.append((client, size)))
        if waiter is not None:
            waiters.append(waiter)

    for _ in range(400):
        client, size = chance.choice(clients), chance.randrange(1, 256 * KIB)
        match chance.randrange(4):
            case 0 | 1 if client.reserve(size):
                reserved.append((client, size))
            case 0 | 1:
                wait(client, size)
            case 2 if reserved:
                share, amount = reserved.pop(chance.randrange(len(reserved)))
                share.release(amount)
            case 3 if waiters and chance.random() < 0.3:
                waiters.pop(chance.randrange(len(waiters))).cancel()
        assert budget.used == sum(amount for _, amount in reserved) <= 896 * KIB
        assert all(share.bodies <= 256 * KIB for share in clients[1:])
    while reserved:
        share, amount = reserved.pop(0)
        share.release(amount)
    assert (budget.used, budget.waiting) == (0, 0)
    assert {share.waiting for share in clients} == {0}
