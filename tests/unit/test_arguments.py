"""The options of a command mean the same wherever they stand."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from pointsman.cli.main import OTHERS
from pointsman.cli.parser import parser as all_commands

# What some option or argument takes.
VALUES = ("7", "0.5", "127.0.0.1:9", "en", "2048", "1h", "dora")


class Given(NamedTuple):
    """A command's arguments, and one of its options with its value."""

    parser: argparse.ArgumentParser
    arguments: list[str]
    option: list[str]


def value_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """A value that an option or an argument takes."""
    for value in action.choices or VALUES:
        try:
            parser._get_value(action, value)
        except argparse.ArgumentError:
            continue
        return str(value)
    raise AssertionError(f"{parser.prog}: give {action.dest} a value")


def every_option() -> Iterator[object]:
    subcommands = next(each for each in all_commands()._actions if isinstance(each, argparse._SubParsersAction))
    for name, parser in subcommands.choices.items():
        if name in OTHERS:
            parser = importlib.import_module(OTHERS[name][0]).command_parser()  # noqa: PLW2901
        arguments = [value_of(parser, action) for action in parser._actions if not action.option_strings]
        for action in parser._actions:
            if not action.option_strings or isinstance(action, argparse._HelpAction):
                continue
            value = [] if action.nargs == 0 else [value_of(parser, action)]
            given = Given(parser, arguments, [action.option_strings[-1], *value])
            yield pytest.param(given, id=f"{name} {' '.join(given.option)}")


def parsed(parser: argparse.ArgumentParser, *arguments: str) -> dict[str, object]:
    missing = ["-o", "dora"] if parser.prog == "pointsman export" and "-o" not in arguments else []
    if parser.prog == "pointsman fit" and {"--data", "--labelled", "--again"}.isdisjoint(arguments):
        missing = ["--data", "dora"]
    return vars(parser.parse_args([*missing, *arguments]))


@pytest.mark.parametrize("given", list(every_option()))
def test_an_option_before_between_and_behind_the_arguments_means_the_same(given: Given) -> None:
    parser, arguments, option = given
    expected = parsed(parser, *arguments, *option)
    for index in range(len(arguments)):
        assert parsed(parser, *arguments[:index], *option, *arguments[index:]) == expected


def test_the_name_of_a_key_may_stand_behind_its_options() -> None:
    options = all_commands().parse_args(["keys", "add", "--tokens-per-minute", "100", "--model", "a", "dora", "--json"])
    assert (options.action, options.name, options.tokens_per_minute, options.model, options.json) == (
        *("add", "dora", 100),
        *(["a"], True),
    )


@pytest.mark.parametrize("arguments", [["--json"], ["list", "--json"], ["--json", "list"]])
def test_what_is_left_out_has_its_default(arguments: list[str]) -> None:
    options = all_commands().parse_args(["adapters", *arguments])
    assert (options.action, options.name) == ("list", None)


def test_behind_two_dashes_there_are_no_options() -> None:
    options = all_commands().parse_args(["explain", "--json", "--", "--config"])
    assert (options.text, options.json, options.config) == ("--config", True, None)


def test_without_a_command_it_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        all_commands().parse_args([])
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["add", "dora", "--json", "eve"], ["add", "--nobody", "dora"]])
def test_what_is_too_much_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        all_commands().parse_args(["keys", *arguments])
    assert "unrecognized arguments" in capsys.readouterr().err
