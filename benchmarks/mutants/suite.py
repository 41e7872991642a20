"""Choose the tests that can notice a mutant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mutants.choose import Mutant

# Of CPU time, while it was recorded. A unit test that takes more measures memory or accuracy.
MAX_TEST_SECONDS = 30.0
# The tests that run a daemon and can notice a mutant of a package, the quickest to notice first.
DAEMON_TESTS = {
    "http1": ("relay/test_smuggling.py", "relay/test_hostile_answers.py", "relay/test_limits.py", "e2e/test_relay.py"),
    "server": (
        "relay/test_smuggling.py",
        "relay/test_limits.py",
        "relay/test_transports.py",
        "relay/test_cancel.py",
        "relay/test_backpressure.py",
        "relay/test_drain.py",
        "relay/test_tls.py",
    ),
    "upstream": (
        "relay/test_endpoints.py",
        "relay/test_retry.py",
        "relay/test_hostile_answers.py",
        "relay/test_timeouts.py",
        "relay/test_cancel.py",
        "relay/test_backpressure.py",
    ),
    "proxy": (
        "relay/test_retry.py",
        "relay/test_hostile_answers.py",
        "relay/test_cancel.py",
        "relay/test_admission.py",
        "relay/test_timeouts.py",
        "relay/test_drain.py",
        "relay/test_backpressure.py",
        "e2e/test_relay.py",
        "e2e/test_metrics.py",
    ),
    "routing": ("e2e/test_routing.py", "e2e/test_adapter_fallback.py"),
    "classify": ("e2e/test_routing.py", "e2e/test_overload.py", "unit/test_shadow.py"),
    "app": ("e2e/test_reload.py",),
    "api": ("e2e/test_keys.py",),
    "config": ("e2e/test_keys.py",),
}


@dataclass(frozen=True, slots=True)
class UnitTests:
    """The records of `mutants.record`."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[str, frozenset[int]]]

    @classmethod
    def read(cls, recorded: Mapping[str, Any]) -> UnitTests:
        lines = {
            file: {test: frozenset(ran) for test, ran in tests.items()} for file, tests in recorded["lines"].items()
        }
        return cls(recorded["seconds"], lines)

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run its lines, the quickest first.

        No test runs the code that runs at import, functions called there included, and a test that reads a constant may
        run nothing else of the module: then all tests count that are next to those of the module, or of its package.
        """
        quick = set(self.all)
        tests = {test: ran for test, ran in self.lines.get(mutant.file, {}).items() if test in quick}
        edited = set(range(mutant.edit.line, mutant.edit.last_line + 1))
        found = {test for test, ran in tests.items() if ran & edited}
        if not found:
            chosen = {_file(test) for test in tests or self._of_package(mutant.file)}
            found = {test for test in self.seconds if _file(test) in chosen}
        return [test for test in self.all if test in found]

    @property
    def all(self) -> list[str]:
        """Those that are quick enough, the quickest first."""
        return sorted(
            (test for test, seconds in self.seconds.items() if seconds <= MAX_TEST_SECONDS),
            key=self.seconds.__getitem__,
        )

    def _of_package(self, file: str) -> set[str]:
        package = PurePath(file).parent
        return {test for other, tests in self.lines.items() if PurePath(other).parent == package for test in tests}


def _file(test: str) -> str:
    return test.partition("::")[0]


def daemon_tests(mutant: Mutant) -> list[str]:
    return [f"tests/{name}" for name in DAEMON_TESTS[PurePath(mutant.file).parts[0]]]
