"""A table of examples for one rule, as one test: `parametrize` makes each row a test, which costs a millisecond."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

Test = Callable[..., Any]
_Named = type(pytest.param())


def rows(names: str | tuple[str, ...], table: Iterable[Any]) -> Callable[[Test], Test]:
    """Call a test with each row of a table; it fails with every row that fails. The rest is as by `parametrize`.

    The rows share the fixtures.
    """
    keys = (names,) if isinstance(names, str) else names
    made = [_arguments(keys, row) for row in table]
    assert made, "a table without rows tests nothing"

    def decorated(test: Test) -> Test:
        @functools.wraps(test)
        def run(**others: Any) -> None:
            with _Faults.told(len(made)) as faults:
                for name, arguments in made:
                    with faults.noted(name or arguments):
                        test(**others, **arguments)

        @functools.wraps(test)
        async def run_async(**others: Any) -> None:
            with _Faults.told(len(made)) as faults:
                for name, arguments in made:
                    with faults.noted(name or arguments):
                        await test(**others, **arguments)

        signature = inspect.signature(test)
        assert signature.parameters.keys() >= set(keys), f"{test.__name__} does not take {keys}"
        others = [value for name, value in signature.parameters.items() if name not in keys]
        chosen: Any = run_async if inspect.iscoroutinefunction(test) else run
        chosen.__signature__ = signature.replace(parameters=others)  # its fixtures
        return cast("Test", chosen)

    return decorated


def thorough(*table: Any) -> Iterator[Any]:
    """Rows for `parametrize` that `make unit` leaves out."""
    for row in table:
        yield pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=pytest.mark.thorough)


class _Faults:
    """What failed, row by row."""

    def __init__(self) -> None:
        self._found: list[Exception] = []

    @classmethod
    @contextlib.contextmanager
    def told(cls, rows: int) -> Iterator[_Faults]:
        """Raise all of them at the end."""
        faults = cls()
        yield faults
        if faults._found:
            raise ExceptionGroup(f"{len(faults._found)} of {rows} rows fail", faults._found)

    @contextlib.contextmanager
    def noted(self, row: object) -> Iterator[None]:
        """Note what fails in a row, and go on."""
        try:
            yield
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - told at the end
            # What a `pytest.raises` raises that saw nothing is no Exception, as the group needs.
            fault = (
                error
                if isinstance(error, Exception)
                else AssertionError(str(error)).with_traceback(error.__traceback__)
            )
            fault.add_note(f"in the row {row}")
            self._found.append(fault)


def _arguments(keys: tuple[str, ...], row: Any) -> tuple[str | None, dict[str, Any]]:
    """Return the id of a row, if it has one, and its values by name."""
    name = None
    if isinstance(row, _Named):
        name, row = str(row.id), row.values
    elif len(keys) == 1:
        row = (row,)
    return name, dict(zip(keys, row, strict=True))
