"""Choose the stored texts that a person should label: the doubtful and contested ones, the most useful first; pure."""

from __future__ import annotations

import heapq
import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from pointsman.improve.texts_file import NO_CATEGORY, TextRecord
from pointsman.improve.worklist_file import WorklistItem
from pointsman.observability.feedback_file import FeedbackLine

MAX_ITEMS = 5_000
"""The number of most useful texts that are compared for similarity."""
MAX_SAMPLED_ITEMS = 500
CLOSE = 0.3
"""Two categories with a smaller difference of scores are close."""
ALIKE = 0.7
"""Texts that share this part of their pairs of words are listed once."""
_WEIGHTS = {"bad_feedback": 2.0, "shadow_disagrees": 1.0, "ambiguous": 1.0, "abstained": 0.7, "close": 0.3}
_ABSTAINED = {"low_confidence": "abstained", "ambiguous": "ambiguous"}
_WORD = re.compile(r"\w+")
_BANDS, _IN_BAND = 8, 2
_MAX_BAND_ITEMS = 50
_FACTORS = np.random.default_rng(1).integers(1, 2**63, (_BANDS * _IN_BAND, 1), np.uint64) | np.uint64(1)


class DecisionLine(msgspec.Struct, frozen=True):
    """The fields of a line of the log that are read."""

    event: str
    text_hash: str = ""
    category: str | None = None
    shadow: dict[str, Any] | None = None


def contested(lines: Iterable[DecisionLine]) -> dict[str, str]:
    """Return, by text, the category of the classifier in shadow if it differs; NO_CATEGORY stands for none."""
    found = {}
    for line in lines:
        if line.shadow is not None and line.text_hash and line.shadow.get("category") != line.category:
            found[line.text_hash] = str(line.shadow.get("category") or NO_CATEGORY)
    return found


def contested_rows(rows: Iterable[TextRecord]) -> dict[str, str]:
    """Return the same from the file of texts."""
    return {row.hash: row.shadow for row in rows if row.shadow is not None}


def bad(lines: Iterable[FeedbackLine]) -> set[str]:
    """Return the requests and the texts whose answer was judged bad."""
    return {name for line in lines if line.is_bad for name in (line.request_id, line.text_hash) if name}


def worklist(
    rows: Iterable[TextRecord],
    disliked: Collection[str],
    differing: Mapping[str, str],
    labelled: Collection[str],
    limit: int,
) -> list[WorklistItem]:
    """Return at most this many texts, the most useful first, without those that are labeled or nearly the same.

    Each fourth is from a fair sample: a classifier may be wrong and sure of it.
    """
    best: list[tuple[float, int, WorklistItem]] = []
    sample: list[tuple[int, int, WorklistItem]] = []
    seen: set[str] = set()
    order = itertools.count()
    for row in rows:
        if row.hash in seen or row.hash in labelled or not row.text.strip():
            continue
        seen.add(row.hash)
        item, number = _item(row, disliked, differing), next(order)
        _keep(best, (item.useful, number, item), MAX_ITEMS)  # among equals, the newest
        _keep(sample, (-zlib.crc32(row.hash.encode()), number, item), MAX_SAMPLED_ITEMS)
    drawn = [item.hash for *_, item in sorted(sample, reverse=True)]
    every = {item.hash: item for *_, item in (*best, *sample)}
    folded = {item.hash: item for item in _folded(sorted(every.values(), key=lambda item: -item.useful))}
    ranked = sorted(folded.values(), key=lambda item: -item.useful)
    return list(itertools.islice(_mixed(ranked, [folded[name] for name in drawn if name in folded]), limit))


def _keep(heap: list[tuple[Any, int, WorklistItem]], entry: tuple[Any, int, WorklistItem], max_items: int) -> None:
    """Keep an entry if it is one of the greatest."""
    if len(heap) < max_items:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def _mixed(ranked: list[WorklistItem], sample: list[WorklistItem]) -> Iterator[WorklistItem]:
    """Yield the ranked items, with the next of the sample in each fourth position."""
    given: set[str] = set()
    fair = iter(sample)
    for item in ranked:
        if len(given) % 4 == 3 and (drawn := next((one for one in fair if one.hash not in given), None)) is not None:
            given.add(drawn.hash)
            yield msgspec.structs.replace(drawn, why=drawn.why or ("sample",))
        if item.hash not in given:
            given.add(item.hash)
            yield item


def margin(row: TextRecord) -> float:
    """Return the lead of the best category; 0 if unknown."""
    best, *others = [*sorted(row.scores.values(), reverse=True), 0.0]
    return best - (others[0] if others else 0.0)


def _item(row: TextRecord, disliked: Collection[str], differing: Mapping[str, str]) -> WorklistItem:
    lead = margin(row)
    why = []
    if row.hash in disliked or (row.request_id and row.request_id in disliked):
        why.append("bad_feedback")
    if row.hash in differing:
        why.append("shadow_disagrees")
    if (abstained := _ABSTAINED.get(row.reason or "")) is not None:
        why.append(abstained)
    if row.scores and lead < CLOSE:
        why.append("close")
    useful = sum(_WEIGHTS[one] for one in why) + 1 - min(1.0, max(0.0, lead))
    return WorklistItem(
        id=row.hash[:16],
        text=row.text,
        useful=round(useful, 3),
        hash=row.hash,
        why=tuple(why),
        ts=row.ts,
        request_id=row.request_id,
        model=row.model,
        category=row.category,
        confidence=row.confidence,
        reason=row.reason,
        scores=row.scores,
        shadow=differing.get(row.hash),
    )


def _folded(items: list[WorklistItem]) -> list[WorklistItem]:
    """Return the items without near duplicates of earlier ones, which count them and become more useful."""
    unique: list[tuple[WorklistItem, frozenset[int]]] = []
    by_band: dict[tuple[int, ...], list[int]] = {}
    alike: Counter[int] = Counter()
    for item in items:
        pairs = _pairs(item.text)
        bands = list(_bands(pairs))
        near = {index for band in bands for index in by_band.get(band, ())}
        same = next((index for index in sorted(near) if _likeness(pairs, unique[index][1]) >= ALIKE), None)
        if same is None:
            same = len(unique)
            unique.append((item, pairs))
            for band in bands:
                others = by_band.setdefault(band, [])
                if len(others) < _MAX_BAND_ITEMS:
                    others.append(same)
        alike[same] += 1
    return [
        msgspec.structs.replace(item, alike=alike[index], useful=round(item.useful + math.log2(alike[index]) / 4, 3))
        for index, (item, _) in enumerate(unique)
    ]


def _pairs(text: str) -> frozenset[int]:
    words = [word if not word.isdigit() else "0" for word in _WORD.findall(text.casefold())]
    pairs = [" ".join(pair) for pair in itertools.pairwise(["", *words])]
    return frozenset(zlib.crc32(pair.encode("utf-8", "replace")) for pair in pairs or [text])


def _bands(pairs: frozenset[int]) -> Iterable[tuple[int, ...]]:
    """Yield hashes that similar texts most likely share (minhash)."""
    least = (np.array(list(pairs), np.uint64) * _FACTORS).min(axis=1).tolist()
    for band in range(_BANDS):
        yield (band, *least[band * _IN_BAND : (band + 1) * _IN_BAND])


def _likeness(one: frozenset[int], other: frozenset[int]) -> float:
    return len(one & other) / len(one | other)
