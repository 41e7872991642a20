"""The test behind `pointsman compare`: how often it is wrong, and whether it finds what is there."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest

from pointsman.experiments import sequential
from pointsman.experiments.sequential import Sample, counted, difference, shares_differ

RUNS, ROWS = 1_000, 300
ALPHA = 0.0125
STARS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of runs look at the same few counts again and again."""
    for name in ("_mixture", "_times_log"):
        monkeypatch.setattr(sequential, name, cache(getattr(sequential, name)))


class Running:
    """A sample that grows."""

    def __init__(self) -> None:
        self.rows, self.hits, self._sum, self._squares = 0, 0, 0.0, 0.0
        self.score, self.scored = 0.0, 0

    def add(self, value: float, *, hit: bool) -> None:
        self.rows += 1
        self.hits += hit
        self._sum += value
        self._squares += value * value

    def add_score(self, value: float) -> None:
        self.score += value
        self.scored += 1

    @property
    def share(self) -> tuple[int, int]:
        return self.hits, self.rows

    @property
    def scores(self) -> tuple[float, int]:
        return self.score, self.scored

    @property
    def sample(self) -> Sample:
        if self.rows < 2:
            return Sample(self.rows, 0.0, math.inf)
        mean = self._sum / self.rows
        return Sample(self.rows, mean, (self._squares - self.rows * mean * mean) / (self.rows - 1) / self.rows)


def ends(
    seed: int, share: float, fails: tuple[float, float], slower: float, better: float = 0.0, rows: int = ROWS
) -> bool:
    """Whether a verdict is reached in one run that is looked at after every observation, by any outcome."""
    dice = random.Random(seed)  # noqa: S311
    sides = Running(), Running()
    for _ in range(rows):
        side = int(dice.random() >= share)
        value = dice.gauss(-1.0 + slower * (side == 0), 0.5)  # the logarithm of a time
        sides[side].add(value, hit=dice.random() < fails[side])
        sides[side].add_score(1.0 if side == 0 and dice.random() < better else dice.choice(STARS))
        if shares_differ(sides[0].share, sides[1].share, alpha=ALPHA):
            return True
        if shares_differ(sides[0].scores, sides[1].scores, alpha=ALPHA):
            return True
        found = difference(sides[0].sample, sides[1].sample, 0.2, alpha=ALPHA)
        if found is not None and found.certain:
            return True
    return False


@pytest.mark.thorough
def test_without_a_difference_it_finds_one_in_at_most_6_percent_of_the_runs() -> None:
    """A thousand runs of two kinds, each looked at after every observation, and all outcomes together."""
    kinds = [(0.5, 0.02), (0.3, 0.2)]
    wrong = sum(ends(seed, share, (fails, fails), 0.0, rows=200) for share, fails in kinds for seed in range(RUNS // 2))
    assert wrong / RUNS <= 0.06


def test_a_planted_difference_is_found() -> None:
    assert sum(ends(seed, 0.5, (0.25, 0.02), 0.0) for seed in range(50)) >= 45
    assert sum(ends(seed, 0.5, (0.02, 0.02), 0.3) for seed in range(50)) >= 45
    assert sum(ends(seed, 0.5, (0.02, 0.02), 0.0, better=0.6) for seed in range(50)) >= 45


def bounded(seed: int, values: tuple[float, ...]) -> bool:
    """Whether two sides of the same values from 0 to 1 are ever told apart at 20 %."""
    dice = random.Random(seed)  # noqa: S311
    sides = Running(), Running()
    for number in range(ROWS):
        sides[number % 2].add_score(dice.choice(values))
        if shares_differ(sides[0].scores, sides[1].scores, alpha=0.2):
            return True
    return False


@pytest.mark.thorough
def test_values_from_0_to_1_are_told_apart_no_more_often_than_shares() -> None:
    """From the first row on, whatever their distribution is: half a hit is a hit in half of the cases, or less."""
    for values in ((0.0, 1.0), STARS, (0.4, 0.6), (0.9, 0.9, 0.9, 0.1)):
        assert sum(bounded(seed, values) for seed in range(200)) / 200 <= 0.2


def test_what_is_rounded_up_in_a_sum_is_no_difference() -> None:
    assert not shares_differ((0.1 + 0.2, 3), (0.6000000000000001, 3))
    assert not shares_differ((3 * 0.3333333333333334, 1), (1.0000000000000002, 1))


def test_of_shares_the_first_rows_tell_nothing() -> None:
    assert not shares_differ((0, 0), (0, 0))
    assert not shares_differ((1, 1), (0, 1))
    assert not shares_differ((5, 5), (0, 0))
    assert shares_differ((20, 20), (0, 20))


def test_means_need_fifty_rows_of_each_side() -> None:
    """Below that they are not normal."""
    many, few = Sample(50, 0.0, 1e-9), Sample(49, 9.0, 1e-9)
    assert difference(many, few, 0.2) is None
    found = difference(many, Sample(50, 9.0, 1e-9), 0.2)
    assert found is not None
    assert found.certain
    assert found.low < -9.0 < found.high < 0.0


def test_values_that_are_all_alike_are_no_certain_difference() -> None:
    same = Sample.of([1.0] * 60)
    found = difference(same, same, 0.2)
    assert found is not None
    assert not found.certain


def test_the_sample_of_values() -> None:
    found = Sample.of([1.0, 2.0, 3.0])
    assert (found.rows, found.mean) == (3, 2.0)
    assert found.error == pytest.approx(1 / 3)
    assert list(found.interval()) == pytest.approx([2 - 1.96 / math.sqrt(3), 2 + 1.96 / math.sqrt(3)])


@pytest.mark.parametrize(
    ("shares", "min_authors", "counts"),
    [
        pytest.param([(3.0, 4), (1.0, 2), (2.0, 2)], 3, (6.0, 8), id="half is of one author"),
        pytest.param([(9.0, 12), (1.0, 2), (2.0, 2)], 3, (6.0, 8), id="more is"),
        pytest.param([(9.0, 12), (1.0, 2)], 3, (0.0, 0), id="too few authors"),
        pytest.param([(9.0, 12), (1.0, 2)], 2, (2.5, 4), id="as many as are wanted"),
        pytest.param([(9.0, 12), (1.0, 2)], 1, (10.0, 14), id="all of one"),
        pytest.param([(9.0, 12)], 2, (0.0, 0), id="one alone"),
        pytest.param([], 3, (0, 0), id="none"),
    ],
)
def test_of_one_author_no_more_counts_than_of_all_others(
    shares: list[tuple[float, int]], min_authors: int, counts: tuple[float, int]
) -> None:
    assert counted(shares, min_authors) == pytest.approx(counts)


@pytest.mark.thorough
def test_without_a_difference_a_flood_of_one_author_makes_no_more_false_verdicts() -> None:
    """Looked at after each piece of feedback, most of them by one author, who likes less than the others."""
    found = 0
    for seed in range(RUNS):
        draw = random.Random(seed)  # noqa: S311 - no secret
        liked = [[0] * 4 for _ in range(2)]
        rows_of = [[0] * 4 for _ in range(2)]
        for _ in range(ROWS):
            author = draw.choice((0,) * 12 + (1, 2, 3))
            side = draw.randrange(2)
            liked[side][author] += draw.random() < (0.3 if author == 0 else 0.7)
            rows_of[side][author] += 1
            first, second = (
                counted([one for one in zip(*sums, strict=True) if one[1]], 3)
                for sums in zip(liked, rows_of, strict=True)
            )
            if shares_differ(first, second, ALPHA):
                found += 1
                break
    assert found <= 0.0175 * RUNS
