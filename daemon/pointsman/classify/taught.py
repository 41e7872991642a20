"""Write and read `taught.bin`: prompts that a model wrote or judged, as features, and the head made of them.

The head is what `described.fit` makes of these prompts and of the config at the time. It is used while its key says
that nothing has changed; else another one is made of the prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from pointsman.classify.described import DescribedHead, Floats

MAX_TAUGHT_BYTES = 64 << 20
FEATURES = np.dtype("<f2")
WEIGHTS = np.dtype("<f4")


class BadTaught(Exception):
    """The file cannot be used; the message says what is wrong with it."""


class _StoredPrompts(msgspec.Struct, frozen=True):
    of: str
    features: bytes
    languages: tuple[str, ...]


class _StoredRows(msgspec.Struct, frozen=True):
    categories: dict[str, _StoredPrompts]
    nobody: bytes


class _StoredHead(msgspec.Struct, frozen=True):
    key: str
    categories: tuple[str, ...]
    languages: dict[str, tuple[str, ...]]
    fitted: tuple[int, ...]
    angled: tuple[int, ...]
    arrays: tuple[bytes, bytes, bytes, bytes, bytes]
    """Mean, deviation, weights, bias and directions."""


class _StoredFile(msgspec.Struct, frozen=True):
    rows: bytes
    head: _StoredHead | None


@dataclass(frozen=True, slots=True, eq=False)
class TaughtPrompts:
    """The prompts of a category as features [prompts, width]; `of` is `description_hash` of what was described."""

    of: str
    features: Floats
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The prompts of each category and those of nobody [prompts, width]; `key` is a hash of them all."""

    categories: Mapping[str, TaughtPrompts]
    nobody: Floats
    key: str = ""
    head: DescribedHead | None = None


def description_hash(descriptions: Sequence[str]) -> str:
    """Return what tells whether prompts were written for these descriptions."""
    return hashlib.sha256(msgspec.json.encode(descriptions)).hexdigest()


def encode(taught: Taught) -> bytes:
    """Return the file's content; the key of `taught` need not be known."""
    head = None if taught.head is None else _stored(taught.head)
    return msgspec.msgpack.encode(_StoredFile(_rows_of(taught), head))


def rows_key(taught: Taught) -> str:
    """Return the hash of all prompts."""
    return hashlib.sha256(_rows_of(taught)).hexdigest()


def decode(data: bytes, width: int) -> Taught:
    """Return what is in a file's content for features of `width` numbers; raises BadTaught."""
    try:
        found = msgspec.msgpack.decode(data, type=_StoredFile)
        rows = msgspec.msgpack.decode(found.rows, type=_StoredRows)
        return Taught(
            {
                name: TaughtPrompts(one.of, _array(one.features, FEATURES, width), frozenset(one.languages))
                for name, one in rows.categories.items()
            },
            _array(rows.nobody, FEATURES, width),
            hashlib.sha256(found.rows).hexdigest(),
            None if found.head is None else _head(found.head, width),
        )
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadTaught(f"no taught prompts ({error})") from error


def _rows_of(taught: Taught) -> bytes:
    categories = {
        name: _StoredPrompts(one.of, one.features.astype(FEATURES).tobytes(), tuple(sorted(one.languages)))
        for name, one in taught.categories.items()
    }
    return msgspec.msgpack.encode(_StoredRows(categories, taught.nobody.astype(FEATURES).tobytes()))


def _stored(head: DescribedHead) -> _StoredHead:
    languages = {name: tuple(sorted(found)) for name, found in head.languages.items()}
    arrays = (head.mean, head.deviation, head.weights, head.bias, head.directions)
    mean, deviation, weights, bias, directions = (one.astype(WEIGHTS).tobytes() for one in arrays)
    return _StoredHead(
        head.key,
        head.categories,
        languages,
        head.fitted,
        head.angled,
        (mean, deviation, weights, bias, directions),
    )


def _head(stored: _StoredHead, width: int) -> DescribedHead:
    mean, deviation, weights, bias, directions = stored.arrays
    head = DescribedHead(
        categories=stored.categories,
        languages={name: frozenset(found) for name, found in stored.languages.items()},
        key=stored.key,
        mean=_array(mean, WEIGHTS, width).reshape(-1),
        deviation=_array(deviation, WEIGHTS, width).reshape(-1),
        fitted=stored.fitted,
        weights=_array(weights, WEIGHTS, width),
        bias=_array(bias, WEIGHTS, 1).reshape(-1),
        angled=stored.angled,
        directions=_array(directions, WEIGHTS, width),
    )
    sizes = len(head.mean), len(head.deviation), len(head.weights), len(head.bias), len(head.directions)
    if sizes != (width, width, len(head.fitted), len(head.fitted), len(head.angled)):
        raise BadTaught("the parts of its head do not fit together")
    if sorted((*head.fitted, *head.angled)) != list(range(len(head.categories))) or not (head.deviation > 0).all():
        raise BadTaught("its head is not of its categories")
    return head


def _array(data: bytes, form: np.dtype[np.floating], width: int) -> Floats:
    """Return rows of `width` numbers, float32; raises BadTaught."""
    if len(data) % (width * form.itemsize):
        raise BadTaught(f"{len(data):,} bytes are no rows of {width} numbers")
    found = np.frombuffer(data, form).reshape(-1, width).astype(np.float32)
    if not np.isfinite(found).all():
        raise BadTaught("a number is NaN or infinite")
    return found
