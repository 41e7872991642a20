"""A budget for the bytes of requests in memory, and the order in which bodies wait for room. Pure.

Of the total, an eighth is for bytes that arrived but are not parsed, six eighths are for any body, and an eighth is for
small bodies only. The parts never wait for each other: however many bodies wait, the bytes that came with their heads
cannot take the room that they wait for.
"""

from __future__ import annotations

from collections.abc import Callable

# A smaller body may use the last eighth; nearly all chat requests are smaller.
SMALL_BYTES = 65_536
# A release looks at every waiting body, so their number is bounded: in total, and a quarter of it for one client.
MAX_WAITING_BODIES = 256


class ByteBudget:
    """Bytes against a total, and the bodies that wait for room, in the order in which they came."""

    def __init__(self, total: int) -> None:
        """Take the `total` in bytes."""
        self._bodies = self._unparsed = 0
        self._waiting: dict[BodyWaiter, None] = {}
        self._blocked = False  # a body that is not small waits for room, so no other may overtake it
        self.resize(total)

    def resize(self, total: int) -> None:
        """Change the total; reserved bytes stay reserved."""
        eighth = total // 8
        self._max_unparsed_bytes = eighth
        self._max_small_bytes = total - eighth
        self._max_large_bytes = self._max_small_bytes - eighth
        self._max_client_bytes = total // 4
        self._grant()

    @property
    def used(self) -> int:
        """The bytes reserved now."""
        return self._bodies + self._unparsed

    @property
    def waiting(self) -> int:
        """The number of bodies that wait for room."""
        return len(self._waiting)

    def _grant(self) -> None:
        """Give room to waiting bodies in their order; small ones, and those of other clients, may overtake."""
        self._blocked = False
        for waiter in list(self._waiting):
            client_budget, size = waiter.client_budget, waiter.size
            if client_budget.reserve(size):
                self._forget(waiter)
                waiter.granted()
            elif size >= SMALL_BYTES and client_budget.allows(size):
                self._blocked = True

    def _forget(self, waiter: BodyWaiter) -> None:
        del self._waiting[waiter]
        waiter.client_budget.waiting -= 1


class ClientBudget:
    """One client's reservation of a budget: at most a quarter, if `limited`."""

    __slots__ = ("_budget", "_limited", "_unparsed", "bodies", "waiting")

    def __init__(self, budget: ByteBudget, *, limited: bool) -> None:
        self._budget = budget
        self._limited = limited
        self._unparsed = 0
        self.bodies = 0
        self.waiting = 0

    def reserve(self, size: int, whole: int = 0) -> bool:
        """Reserve `size` bytes for a body; return False if there is no room.

        `whole` is the size that a body of unknown length reaches with these bytes. Such a body never waits half-read,
        so it may overtake those that wait.
        """
        budget = self._budget
        bodies = budget._bodies + size
        if (whole or size) < SMALL_BYTES:
            if bodies > budget._max_small_bytes:
                return False
        elif bodies > budget._max_large_bytes or (budget._blocked and not whole):
            return False
        mine = self.bodies + size
        if mine > budget._max_client_bytes and self._limited:
            return False
        budget._bodies = bodies
        self.bodies = mine
        return True

    def release(self, size: int) -> None:
        """Release `size` bytes of a body."""
        budget = self._budget
        budget._bodies -= size
        self.bodies -= size
        if budget._waiting:
            budget._grant()

    def allows(self, size: int) -> bool:
        """Return whether the client itself may take `size` bytes more, whatever the others have reserved."""
        return not self._limited or self.bodies + size <= self._budget._max_client_bytes

    def wait(self, size: int, granted: Callable[[], None]) -> BodyWaiter | None:
        """Call `granted` once, perhaps at once, when there is room for `size` bytes, which are then reserved.

        Return None if that can never be, or if too many wait.
        """
        budget = self._budget
        fits = size <= budget._max_large_bytes and (size <= budget._max_client_bytes or not self._limited)
        max_waiting = MAX_WAITING_BODIES // 4 if self._limited else MAX_WAITING_BODIES
        if not fits or self.waiting >= max_waiting or len(budget._waiting) >= MAX_WAITING_BODIES:
            return None
        waiter = BodyWaiter(self, size, granted)
        budget._waiting[waiter] = None
        self.waiting += 1
        budget._grant()
        return waiter

    def keep(self, size: int) -> bool:
        """Count `size` bytes that are not parsed yet; return False if there is no room."""
        budget = self._budget
        max_bytes = budget._max_unparsed_bytes
        if budget._unparsed + size > max_bytes or (self._limited and self._unparsed + size > max_bytes // 4):
            return False
        budget._unparsed += size
        self._unparsed += size
        return True

    def drop(self, size: int) -> None:
        """Release the bytes that `keep` counted."""
        self._budget._unparsed -= size
        self._unparsed -= size


class BodyWaiter:
    """A body that waits for room."""

    __slots__ = ("client_budget", "granted", "size")

    def __init__(self, client_budget: ClientBudget, size: int, granted: Callable[[], None]) -> None:
        self.client_budget = client_budget
        self.size = size
        self.granted = granted

    def cancel(self) -> None:
        """Stop waiting; do nothing if the room was granted."""
        budget = self.client_budget._budget
        if self in budget._waiting:
            budget._forget(self)
            budget._grant()
