"""A table of examples for one rule, as one test: `parametrize` makes each row a test, which costs a millisecond."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

Test = Callable[..., None]
_Named = type(pytest.param())


def rows(names: str | tuple[str, ...], table: Iterable[Any]) -> Callable[[Test], Test]:
    """Call a test with each row of a table; it fails with every row that fails. The rest is as by `parametrize`."""
    keys = (names,) if isinstance(names, str) else names
    made = [_arguments(keys, row) for row in table]
    assert made, "a table without rows tests nothing"

    def decorated(test: Test) -> Test:
        @functools.wraps(test)
        def run(**others: Any) -> None:
            faults = []
            for name, arguments in made:
                try:
                    test(**others, **arguments)
                except Exception as error:  # noqa: BLE001 - told below
                    error.add_note(f"in the row {name or arguments}")
                    faults.append(error)
            if faults:
                raise ExceptionGroup(f"{len(faults)} of {len(made)} rows fail", faults)

        signature = inspect.signature(test)
        assert signature.parameters.keys() >= set(keys), f"{test.__name__} does not take {keys}"
        others = [value for name, value in signature.parameters.items() if name not in keys]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]  # its fixtures
        return run

    return decorated


def _arguments(keys: tuple[str, ...], row: Any) -> tuple[str | None, dict[str, Any]]:
    """Return the id of a row, if it has one, and its values by name."""
    name = None
    if isinstance(row, _Named):
        name, row = str(row.id), row.values
    elif len(keys) == 1:
        row = (row,)
    return name, dict(zip(keys, row, strict=True))
