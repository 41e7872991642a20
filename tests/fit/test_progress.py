"""What is shown of a step's progress, and when."""

from __future__ import annotations

import io

import pytest

from pointsman_export.fit.progress import Progress


class Screen(io.TextIOWrapper):
    """A stream that keeps back what is not flushed."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def isatty(self) -> bool:
        return self._terminal

    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def test_a_log_gets_one_line_a_step_at_once() -> None:
    screen = Screen(terminal=False)
    show = Progress(screen).step("reading", 4)
    assert screen.shown() == "reading …\n"
    show(4)
    assert screen.shown() == "reading …\n"


def test_a_terminal_shows_each_part_at_once() -> None:
    screen = Screen(terminal=True)
    show = Progress(screen).step("reading", 3)
    bars = ["\rreading             " + "░" * 30 + " 0/3"]
    assert screen.shown() == "".join(bars)
    for done, full in ((1, 10), (2, 20), (3, 30)):
        show(done)
        bars.append("\rreading             " + "█" * full + "░" * (30 - full) + f" {done}/3")
        assert screen.shown() == "".join(bars) + ("\n" if done == 3 else "")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_step_without_parts_is_not_shown(terminal: bool) -> None:
    screen = Screen(terminal=terminal)
    Progress(screen).step("reading", 0)(0)
    assert screen.shown() == ""
