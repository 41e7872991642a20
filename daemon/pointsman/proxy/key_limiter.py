"""Enforce the limits of each client key: requests and tokens a minute, and requests in flight."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from pointsman.config.client_keys import ClientKey, KeyLimits
from pointsman.errors import RateLimited

MINUTE = 60.0


class LeakyBucket:
    """A leaky bucket: the use of a limit per minute, which drains by a whole limit in a minute."""

    __slots__ = ("_at", "_used")

    def __init__(self, now: float) -> None:
        self._used = 0.0
        self._at = now

    def left(self, limit: int, now: float) -> float:
        """Return the amount that may be used now, negative after using more than was reserved."""
        used = self._used - (now - self._at) * limit / MINUTE
        self._used = used = used if used > 0 else 0.0
        self._at = now
        return limit - used

    def take(self, amount: int, limit: int, now: float) -> float:
        """Use this amount and return 0, or return the seconds until it may be used."""
        missing = amount - self.left(limit, now)
        if missing > 0:
            return missing * MINUTE / limit
        self._used += amount
        return 0.0

    def add(self, amount: int) -> None:
        """Add to the use, or subtract if negative."""
        self._used += amount


class _KeyUsage:
    """The present use of a key, in all configs."""

    __slots__ = ("in_flight", "requests", "tokens")

    def __init__(self, now: float) -> None:
        self.in_flight = 0
        self.requests = LeakyBucket(now)
        self.tokens = LeakyBucket(now)


class KeyLease:
    """One request of a limited key, from `KeyLimiter.enter` to `leave`; `reserve` takes its tokens."""

    __slots__ = ("_clock", "_limits", "_use", "counts_tokens", "prompt", "reserved")

    def __init__(self, limits: KeyLimits, use: _KeyUsage, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._use = use
        self._clock = clock
        self.counts_tokens = limits.tokens_per_minute is not None
        """True if tokens are limited."""
        self.reserved = 0
        """The tokens that were charged, in advance or as they came."""
        self.prompt = 0
        """The estimated tokens of the prompt."""

    def reserve(self, prompt: int, answer: int) -> None:
        """Charge the tokens that a request may use, at most a whole minute's; raises RateLimited (429)."""
        limit = self._limits.tokens_per_minute
        if limit is None:
            return
        wanted = min(prompt + answer, limit)
        wait = self._use.tokens.take(wanted, limit, self._clock())
        if wait:
            raise self._limited("tokens", f"your key may use {limit:,} tokens a minute", wait)
        self.prompt = prompt
        self.reserved = wanted

    def produced(self, tokens: int) -> None:
        """Charge the tokens that an answer has produced beyond the reservation, even beyond the limit."""
        more = self.prompt + tokens - self.reserved
        if more > 0 and self.counts_tokens:
            self._use.tokens.add(more)
            self.reserved += more

    def leave(self, tokens: int) -> None:
        """End the request, which used this number of tokens; they count if some were reserved."""
        self._use.in_flight -= 1
        if self.reserved:
            self._use.tokens.add(tokens - self.reserved)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the remaining limits, in OpenAI's headers."""
        lines = self.lines().decode().splitlines()
        return tuple([(name, value) for name, _, value in [line.partition(": ") for line in lines]])

    def lines(self) -> bytes:
        """Return these headers as lines of an answer."""
        requests, tokens, _ = self._limits
        lines = b""
        if requests is not None:
            lines = _lines("requests", requests, self._use.requests.left(requests, self._clock()))
        if tokens is not None:
            lines += _lines("tokens", tokens, self._use.tokens.left(tokens, self._clock()))
        return lines

    def enter(self) -> None:
        """Count the request; raises RateLimited (429)."""
        requests, _, max_in_flight = self._limits
        use = self._use
        if max_in_flight is not None and use.in_flight >= max_in_flight:
            raise self._limited("in_flight", f"your key may have {max_in_flight} requests in flight", 1.0)
        if requests is not None:
            wait = use.requests.take(1, requests, self._clock())
            if wait:
                raise self._limited("requests", f"your key may send {requests:,} requests a minute", wait)
        use.in_flight += 1

    def _limited(self, reason: str, words: str, wait: float) -> RateLimited:
        return RateLimited(f"key_{reason}", words, max(1, math.ceil(wait)), self.headers())


class KeyLimiter:
    """The limiter of all keys, shared by the configs of a process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take `clock`, which returns seconds."""
        self._clock = clock
        self._uses: dict[str, _KeyUsage] = {}

    def __len__(self) -> int:
        return len(self._uses)

    def know(self, names: Iterable[str]) -> None:
        """Remove the keys with other names, unless they have a request in flight."""
        known = frozenset(names)
        self._uses = {name: use for name, use in self._uses.items() if name in known or use.in_flight}

    def enter(self, key: ClientKey) -> KeyLease | None:
        """Begin a request of a key; return None for a key without limits; raises RateLimited (429)."""
        if key.limits is None:
            return None
        use = self._uses.get(key.name)
        if use is None:
            use = self._uses[key.name] = _KeyUsage(self._clock())
        lease = KeyLease(key.limits, use, self._clock)
        lease.enter()
        return lease


def _lines(name: str, limit: int, left: float) -> bytes:
    return (
        f"x-ratelimit-limit-{name}: {limit}\r\n"
        f"x-ratelimit-remaining-{name}: {math.floor(left) if left > 0 else 0}\r\n"
        f"x-ratelimit-reset-{name}: {span((limit - left) * MINUTE / limit)}\r\n"
    ).encode()


def span(seconds: float) -> str:
    """Return a time as OpenAI writes it: `17ms`, `1.5s`, `1m0s`."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
