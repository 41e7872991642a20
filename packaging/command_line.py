"""Pointsman's commands and their arguments, read from argparse, for what is generated from them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.cli.main import OTHERS
from pointsman.cli.parser import parser as all_commands


@dataclass(frozen=True)
class Argument:
    """An option, or a positional argument, which has no flags."""

    flags: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    is_path: bool
    help: str


@dataclass(frozen=True)
class Command:
    name: str
    help: str
    usage: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.flags)

    @property
    def positionals(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if not argument.flags)


def commands() -> Iterator[Command]:
    """All commands, in the order in which `pointsman --help` lists them."""
    for listed, parser in _listed():
        usage = parser.format_usage().removeprefix("usage: ")
        arguments = tuple(_argument(parser, action) for action in parser._actions)
        yield Command(listed.dest, listed.help or "", " ".join(usage.split()), arguments)


def _listed() -> Iterator[tuple[argparse.Action, argparse.ArgumentParser]]:
    subparsers = next(each for each in all_commands()._actions if isinstance(each, argparse._SubParsersAction))
    for listed in subparsers._choices_actions:
        parser = subparsers.choices[listed.dest]
        other = OTHERS.get(listed.dest)
        yield listed, importlib.import_module(other[0]).command_parser() if other else parser


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    help_ = parser._get_formatter()._expand_help(action) if action.help else ""
    choices = tuple(str(choice) for choice in action.choices or ())
    value = "" if action.nargs == 0 else _value(action, choices)
    return Argument(tuple(action.option_strings), value, choices, action.type is Path, help_)


def _value(action: argparse.Action, choices: tuple[str, ...]) -> str:
    if action.metavar is None:
        return "{" + ",".join(choices) + "}" if choices else action.dest.upper()
    return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
