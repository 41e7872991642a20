"""Find which of several patterns match a text: one pass for all patterns, in linear time; pure except for a memo.

The states of the automaton are made when a text needs them, and cleared when there are too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pointsman.config.regex import AssertStep, CharStep, Edge, MatchStep, RegexProgram, SplitStep, is_class
from pointsman.routing.steps import Steps, TimeSlice

# A transition takes 100 bytes.
MAX_TRANSITIONS = 20_000
# Characters between two looks at the clock.
_PART = 16

_START, _WORD, _OTHER, _END = range(4)


class _State(dict[str, "_State"]):
    """A state before the next character, with the transitions by character.

    `at` are the steps to continue with, each with the number of its pattern; `found` has a bit for each pattern that
    has ended before the last character.
    """

    __slots__ = ("at", "found", "kind", "matcher")

    def __init__(self, matcher: Matcher, at: frozenset[tuple[int, int]], kind: int, found: int) -> None:
        super().__init__()
        self.matcher, self.at, self.kind, self.found = matcher, at, kind, found

    def __missing__(self, char: str) -> _State:
        found = self[char] = self.matcher.after(self, char)
        return found


class Matcher:
    """Several patterns, numbered in their order."""

    def __init__(self, programs: Sequence[RegexProgram]) -> None:
        self._programs = programs
        self._states: dict[tuple[frozenset[tuple[int, int]], int, int], _State] = {}
        self._transitions = 0
        self._start = self._state(frozenset(), _START, 0)

    def find(self, text: str) -> Steps[int]:
        """Return a number with a bit for each pattern that the text has."""
        state, found, time_slice = self._start, 0, TimeSlice()
        for part in range(0, len(text), _PART):
            for char in text[part : part + _PART]:
                state = state[char]
                found |= state.found
            yield from time_slice.pause()
        return found | self._closed(state, _END)[1]

    def after(self, state: _State, char: str) -> _State:
        """Return the state after one more character."""
        kind = _WORD if is_class("w", char) else _OTHER
        steps, found = self._closed(state, kind)
        taken = frozenset(
            (number, step.to) for number, step in steps if step.chars.has(char, fold=self._programs[number].fold)
        )
        self._transitions += 1
        if self._transitions > MAX_TRANSITIONS:
            self._transitions = 0
            self._states.clear()
            self._start = self._state(frozenset(), _START, 0)
        return self._state(taken, kind, found)

    def _state(self, at: frozenset[tuple[int, int]], kind: int, found: int) -> _State:
        key = at, kind, found
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State(self, at, kind, found)
        return state

    def _closed(self, state: _State, kind: int) -> tuple[list[tuple[int, CharStep]], int]:
        """Return the steps that may take the next character, which is of a kind, and the patterns that end before it.

        Each pattern may also begin here.
        """
        waiting = [*state.at, *((number, program.begin) for number, program in enumerate(self._programs))]
        seen = set(waiting)
        takes: list[tuple[int, CharStep]] = []
        found = 0
        while waiting:
            number, position = waiting.pop()
            step = self._programs[number].steps[position]
            if isinstance(step, CharStep):
                takes.append((number, step))
            elif isinstance(step, MatchStep):
                found |= 1 << number
            else:
                new = [(number, to) for to in _on(step, state.kind, kind)]
                waiting += [each for each in new if each not in seen]
                seen.update(new)
        return takes, found


def _on(step: SplitStep | AssertStep, before: int, after: int) -> Iterator[int]:
    if isinstance(step, SplitStep):
        yield from step.to
    elif _is_edge(step.edge, before, after):
        yield step.to


def _is_edge(edge: Edge, before: int, after: int) -> bool:
    if edge == "start":
        return before == _START
    if edge == "end":
        return after == _END
    return ((before == _WORD) is not (after == _WORD)) is (edge == "word")


def spans(program: RegexProgram, text: str) -> list[tuple[int, int]]:
    """Return the parts of a text that a pattern can match, in their order; takes linear time."""
    found: list[tuple[int, int]] = []
    starts: dict[int, int] = {}
    kinds = [_START, *(_WORD if is_class("w", char) else _OTHER for char in text), _END]
    for position in range(len(text) + 1):
        takes, ends = _reached(program, {program.begin: position} | starts, kinds[position], kinds[position + 1])
        ended = min(ends, default=position)
        if ended < position:
            while found and found[-1][1] >= ended:
                ended = min(ended, found.pop()[0])
            found.append((ended, position))
        starts = {}
        for step, start in takes if position < len(text) else ():
            if step.chars.has(text[position], fold=program.fold):
                starts[step.to] = min(start, starts.get(step.to, start))
    return found


def _reached(
    program: RegexProgram, starts: dict[int, int], before: int, after: int
) -> tuple[list[tuple[CharStep, int]], list[int]]:
    """Return the steps that may take the next character, and the start of each match that ends here.

    Each step has the first of the positions from which it is reached.
    """
    takes: list[tuple[CharStep, int]] = []
    ends: list[int] = []
    seen: set[int] = set()
    for begin, start in sorted(starts.items(), key=lambda item: item[1]):
        waiting = [begin]
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            step = program.steps[number]
            if isinstance(step, CharStep):
                takes.append((step, start))
            elif isinstance(step, MatchStep):
                ends.append(start)
            else:
                waiting += _on(step, before, after)
    return takes, ends
