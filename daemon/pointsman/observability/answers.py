"""Remember the answers that clients may judge: those of the last day whose request ids the service has made."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from pointsman.lru import Lru
from pointsman.observability.log_line import cut
from pointsman.observability.record import MAX_NAME_BYTES, Record, draw_of

# At most 30 MB.
MAX_ANSWERS = 50_000
MAX_ANSWER_AGE_SECONDS = 86_400.0


class Answer(NamedTuple):
    """The decision that led to an answer; `author` is the client that may judge it, once.

    `rater` identifies the client in an experiment: a hash of the key's name or of the address.
    """

    author: str
    at: float
    path: str
    model: str
    category: str | None
    reason: str
    arm: str | None
    draw: str | None
    text_hash: str | None = None
    judged: bool = False
    rater: str = ""


class Answers:
    """The latest answers by request id; `hash_key` is the key for the hashes of raters."""

    def __init__(self, hash_key: bytes = b"") -> None:
        self._hash = functools.lru_cache(512)(functools.partial(_hash, hash_key))
        self._known: Lru[str, Answer] = Lru(MAX_ANSWERS)

    def remember(self, record: Record, author: str, rater: str) -> None:
        """Remember a request that has ended, if the service made its id and the client has seen an answer.

        `rater` is the key or the address of the client.
        """
        routed = record.routed
        if routed is None or not record.issued or record.first_byte is None:
            return
        if record.status >= 400 and record.status != 499:
            return
        decision = routed.decision
        answer = Answer(
            author=author,
            at=record.ended,
            path=record.path,
            model=cut(decision.model, MAX_NAME_BYTES),
            category=decision.category,
            reason=decision.reason,
            arm=decision.arm,
            draw=None if decision.arm is None else draw_of(routed),
            text_hash=None if routed.classification is None else routed.classification.text_hash,
            rater="" if decision.arm is None else self._hash(rater),
        )
        self._known.put(record.request_id, answer)

    def find(self, request_id: str, author: str, now: float) -> Answer | None:
        """Return an answer of this client's from the last day, or None."""
        found = self._known.get(request_id)
        return None if found is None or found.author != author or _is_expired(found, now) else found

    def judged(self, request_id: str, answer: Answer) -> None:
        """Record that the client has judged an answer."""
        self._known.put(request_id, answer._replace(judged=True))

    def entries(self, now: float) -> list[tuple[str, Answer]]:
        """Return the answers of the last day by request id, the oldest first."""
        return [(name, one) for name, one in self._known.items() if not _is_expired(one, now)]

    def restore(self, entries: Iterable[tuple[str, Answer]], now: float) -> None:
        """Restore the last day's answers of an earlier process."""
        for name, one in entries:
            if not _is_expired(one, now):
                self._known.put(name, one)


def _hash(key: bytes, rater: str) -> str:
    """Return a hash; its size differs from that of a text's hash, which a client could have made up to compare."""
    return hashlib.blake2b(rater.encode(), digest_size=8, key=key).hexdigest()


def _is_expired(answer: Answer, now: float) -> bool:
    return now - answer.at > MAX_ANSWER_AGE_SECONDS
