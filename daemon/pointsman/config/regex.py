"""Compile the regular expressions of routing rules to programs that run in linear time; pure.

The syntax is the part of the usual one that an automaton can run: no backreferences and no lookaround. Python's own
`re` backtracks, and a pattern such as `(a+)+$` may take forever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

# All steps of a program may have to be looked at for each character.
MAX_STEPS = 1_000
# Of several patterns that are looked for in the same text.
MAX_STEPS_IN_ALL = 2_000
MAX_REPEATS = 100
MAX_NESTED_GROUPS = 30
_MAX_VISITS = 10_000

Edge = Literal["start", "end", "word", "no_word"]


@dataclass(frozen=True, slots=True)
class CharSet:
    """A set of characters: ranges, and classes (`d`, `s` or `w`; a capital is the opposite)."""

    ranges: tuple[tuple[str, str], ...] = ()
    classes: str = ""
    negated: bool = False

    def has(self, char: str, *, fold: bool) -> bool:
        """Return whether the character is in the set; with `fold`, in either case."""
        found = self._has(char) or (fold and (self._has(char.lower()) or self._has(char.upper())))
        return found is not self.negated

    def _has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) or any(
            is_class(kind.lower(), char) is not kind.isupper() for kind in self.classes
        )


def is_class(kind: str, char: str) -> bool:
    """Return whether a character is of the class `d`, `s` or `w`."""
    if kind == "d":
        return char.isdecimal()
    return char.isspace() if kind == "s" else char == "_" or char.isalnum()


@dataclass(frozen=True, slots=True)
class CharStep:
    """A step that takes one character of a set, and continues at `to`."""

    chars: CharSet
    to: int


@dataclass(frozen=True, slots=True)
class SplitStep:
    """A step that continues at all of these."""

    to: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AssertStep:
    """A step that continues at `to` if the position in the text is such an edge."""

    edge: Edge
    to: int


@dataclass(frozen=True, slots=True)
class MatchStep:
    """The pattern matches."""


Step: TypeAlias = CharStep | SplitStep | AssertStep | MatchStep


@dataclass(frozen=True, slots=True)
class RegexProgram:
    """The steps of a pattern; `fold` ignores case."""

    steps: tuple[Step, ...]
    begin: int
    fold: bool


def compiled(pattern: str, *, fold: bool = True) -> RegexProgram:
    """Return the program of a pattern; raises ValueError, which names the unusable part, and its position."""
    reader = _RegexParser(pattern)
    node = reader.choice(0)
    if not reader.done:
        raise reader.error("a `)` without its `(`")
    writer = _RegexCompiler()
    begin = writer.write(node, writer.add(MatchStep()))
    return RegexProgram(tuple(writer.steps), begin, fold)


# --- syntax ---------------------------------------------------------------------------------------------------------

_ANY = CharSet((("\n", "\n"),), negated=True)
_EDGES: dict[str, Edge] = {"b": "word", "B": "no_word", "A": "start", "Z": "end", "^": "start", "$": "end"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_BOUNDS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclass(frozen=True, slots=True)
class _Concatenation:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Alternation:
    parts: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Assertion:
    edge: Edge


@dataclass(frozen=True, slots=True)
class _Repetition:
    """A repetition; `max_times` is None for any number."""

    part: _Node
    min_times: int
    max_times: int | None


_Node: TypeAlias = CharSet | _Assertion | _Concatenation | _Alternation | _Repetition


class _RegexParser:
    """A reader of a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._pattern)

    def error(self, what: str) -> ValueError:
        return ValueError(f"{what}, at character {min(self._at + 1, len(self._pattern))}")

    def choice(self, depth: int) -> _Node:
        if depth > MAX_NESTED_GROUPS:
            raise self.error(f"more than {MAX_NESTED_GROUPS} groups inside of each other")
        parts = [self._sequence(depth)]
        while self._next("|"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else _Alternation(tuple(parts))

    def _sequence(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while not self.done and self._peek() not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return parts[0] if len(parts) == 1 else _Concatenation(tuple(parts))

    def _atom(self, depth: int) -> _Node:
        char = self._take()
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._set()
        if char == "\\":
            return self._escape()
        if char == ".":
            return _ANY
        if char in "^$":
            return _Assertion(_EDGES[char])
        if char in "*+?{":
            self._at -= 1
            raise self.error(f"a `{char}` that repeats nothing; write `\\{char}` for the character")
        return CharSet(((char, char),))

    def _group(self, depth: int) -> _Node:
        if self._next("?") and not self._next(":"):
            raise self.error("`(?` with something else than `:`; lookaround and flags cannot be used")
        inner = self.choice(depth + 1)
        if not self._next(")"):
            raise self.error("a `(` without its `)`")
        return inner

    def _escape(self) -> _Node:
        char = self._take()
        if char in _EDGES and char.isalpha():
            return _Assertion(_EDGES[char])
        if char in "dDsSwW":
            return CharSet(classes=char)
        return CharSet(((char := self._escaped(char), char),))

    def _escaped(self, char: str) -> str:
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char.isalnum():
            raise self.error(f"`\\{char}`, which cannot be used")
        return char

    def _set(self) -> CharSet:
        negated = self._next("^")
        ranges: list[tuple[str, str]] = []
        classes = ""
        first = True
        while first or not self._next("]"):
            first = False
            char = self._take()
            if char == "\\":
                char = self._take()
                if char in "dDsSwW":
                    classes += char
                    continue
                char = self._escaped(char)
            last = char
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._take()
                last = self._escaped(self._take()) if last == "\\" else last
                if last < char:
                    raise self.error(f"a range from `{char}` back to `{last}`")
            ranges.append((char, last))
        return CharSet(tuple(ranges), classes, negated)

    def _repeated(self, part: _Node) -> _Node:
        while self._peek() in ("*", "+", "?", "{"):
            min_times, max_times = self._bounds()
            part = _Repetition(part, min_times, max_times)
            if self._next("?"):
                continue  # as few as possible: the same texts match
            if self._next("+"):
                raise self.error("a `+` after a repeat, which cannot be used")
        return part

    def _bounds(self) -> tuple[int, int | None]:
        char = self._take()
        if char != "{":
            return _BOUNDS[char]
        inner, closed, rest = self._pattern[self._at :].partition("}")
        min_times, comma, max_times = inner.partition(",")
        numbers = [min_times] + ([max_times] if max_times else [])
        if not closed or not all(number.isdecimal() and len(number) < 4 for number in numbers):
            raise self.error("a `{` that is not `{n}`, `{n,}` or `{n,m}`; write `\\{` for the character")
        low, high = int(min_times), int(max_times) if max_times else None if comma else int(min_times)
        if max(low, high or 0) > MAX_REPEATS or (high is not None and high < low):
            raise self.error(f"a repeat beyond {MAX_REPEATS} times, or of more than the most")
        self._at = len(self._pattern) - len(rest)
        return low, high

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise self.error("the pattern ends too early")
        self._at += 1
        return char

    def _next(self, char: str) -> bool:
        """Take a character if it is the next one."""
        if self._peek() != char:
            return False
        self._at += 1
        return True


class _RegexCompiler:
    """A writer of steps from the end of a pattern to its beginning."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._visits = 0

    def add(self, step: Step) -> int:
        """Return the number of a new step."""
        if len(self.steps) >= MAX_STEPS:
            raise _too_large()
        self.steps.append(step)
        return len(self.steps) - 1

    def write(self, node: _Node, to: int) -> int:
        """Return the first step of a node that continues at `to`."""
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise _too_large()
        match node:
            case CharSet():
                return self.add(CharStep(node, to))
            case _Assertion():
                return self.add(AssertStep(node.edge, to))
            case _Alternation():
                return self.add(SplitStep(tuple([self.write(part, to) for part in node.parts])))
            case _Repetition():
                return self._repeat(node, to)
        for part in reversed(node.parts):
            to = self.write(part, to)
        return to

    def _repeat(self, node: _Repetition, to: int) -> int:
        begin = to
        if node.max_times is None:
            begin = self.add(SplitStep(()))
            self.steps[begin] = SplitStep((self.write(node.part, begin), to))
        else:
            for _ in range(node.max_times - node.min_times):
                begin = self.add(SplitStep((self.write(node.part, begin), to)))
        for _ in range(node.min_times):
            begin = self.write(node.part, begin)
        return begin


def _too_large() -> ValueError:
    return ValueError(f"it is too large, as it takes more than {MAX_STEPS:,} steps; repeats of repeats multiply")
