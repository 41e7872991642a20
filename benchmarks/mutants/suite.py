"""Choose the tests that can notice a mutant. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from mutants.choose import Mutant

# Of CPU time, while it was recorded. A unit test that takes more measures time, memory or accuracy.
MAX_TEST_SECONDS = 10.0
# Tests that are not recorded, or too slow for each mutant, and can notice one of a package, the quickest to notice
# first; the longest name counts.
OTHER_TESTS = {
    "pointsman/adapters": (
        "e2e/test_adapter_administration.py",
        "e2e/test_adapter_fallback.py",
        "relay/test_endpoints.py",
    ),
    "pointsman/api": ("e2e/test_keys.py", "e2e/test_relay.py"),
    "pointsman/app": (
        "e2e/test_reload.py",
        "relay/test_drain.py",
        "unit/test_shadow.py",
        "e2e/test_adapter_loading.py",
    ),
    "pointsman/classify": ("e2e/test_routing.py", "e2e/test_overload.py", "unit/test_shadow.py"),
    "pointsman/cli": ("unit/test_arguments.py", "unit/test_why.py", "e2e/test_demo.py"),
    "pointsman/cli/init": ("e2e/test_init.py",),
    "pointsman/config": ("e2e/test_keys.py",),
    "pointsman/evaluation": ("e2e/test_eval.py",),
    "pointsman/formats": ("unit/test_prompt_text.py", "unit/test_tools.py"),
    "pointsman/http1": (
        "relay/test_smuggling.py",
        "relay/test_hostile_answers.py",
        "relay/test_limits.py",
        "e2e/test_relay.py",
    ),
    "pointsman/improve": ("unit/test_label.py", "unit/test_improver.py"),
    "pointsman/observability": ("e2e/test_metrics.py",),
    "pointsman/proxy": (
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
    "pointsman/routing": ("e2e/test_routing.py", "e2e/test_adapter_fallback.py", "unit/test_shadow.py"),
    "pointsman/server": (
        "relay/test_smuggling.py",
        "relay/test_limits.py",
        "relay/test_transports.py",
        "relay/test_cancel.py",
        "relay/test_backpressure.py",
        "relay/test_drain.py",
        "relay/test_tls.py",
    ),
    "pointsman/upstream": (
        "relay/test_endpoints.py",
        "relay/test_retry.py",
        "relay/test_hostile_answers.py",
        "relay/test_timeouts.py",
        "relay/test_cancel.py",
        "relay/test_backpressure.py",
    ),
    "pointsman_export/common": ("fit/test_fit.py", "export/test_export.py"),
    "pointsman_export/correct": ("fit/test_correct.py",),
    "pointsman_export/export": ("export/test_export.py", "export/test_selection.py", "export/test_openvino.py"),
    "pointsman_export/fit": ("fit/test_fit.py",),
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

    def without(self, test: str) -> UnitTests:
        return replace(self, seconds={name: spent for name, spent in self.seconds.items() if name != test})

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


def other_tests(mutant: Mutant) -> list[str]:
    found = [name for name in OTHER_TESTS if mutant.file.startswith(f"{name}/")]
    return [f"tests/{test}" for test in OTHER_TESTS[max(found, key=len)]] if found else []
