"""Write a shell's completion: `python packaging/completion.py bash|zsh`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

from command_line import Argument, Command, commands

# If nothing is offered, `-o default` completes files.
BASH = """\
# bash completion of pointsman
_pointsman() {{
    local command=${{COMP_WORDS[1]}} words=""
    if ((COMP_CWORD == 1)); then
        words={commands}
    else
        case "$command $3" in
{values}
        *)
            case "$command $2" in
{options}
            esac
            ;;
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}}
complete -o default -F _pointsman pointsman
"""

ZSH = """\
#compdef pointsman

_pointsman() {{
    local -a commands
    commands=(
{commands}
    )
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
{arguments}
    esac
}}

_pointsman "$@"
"""


def bash(found: tuple[Command, ...]) -> str:
    """Offers commands, options, and the values of those that have choices."""
    values = (_bash_value(command, option) for command in found for option in command.options if option.value)
    return BASH.format(
        commands=shlex.quote(" ".join(command.name for command in found)),
        values="\n".join(values),
        options="\n".join(line for command in found for line in _bash_words(command)),
    )


def _bash_value(command: Command, option: Argument) -> str:
    pattern = " | ".join(f'"{command.name} {flag}"' for flag in option.flags)
    return f"        {pattern}) words={shlex.quote(' '.join(option.choices))} ;;"


def _bash_words(command: Command) -> Iterator[str]:
    flags = " ".join(flag for option in command.options for flag in option.flags)
    choices = " ".join(choice for positional in command.positionals for choice in positional.choices)
    yield f'            "{command.name} -"*) words={shlex.quote(flags)} ;;'
    if choices:
        yield f'            "{command.name} "*) words={shlex.quote(choices)} ;;'


def zsh(found: tuple[Command, ...]) -> str:
    """Offers the same with the help texts, and files where a path is wanted."""
    return ZSH.format(
        commands="\n".join(f"        {_quote(f'{each.name}:{each.help}')}" for each in found),
        arguments="\n".join(_zsh_command(each) for each in found),
    )


def _zsh_command(command: Command) -> str:
    specs = [_zsh_spec(argument, flag) for argument in command.arguments for flag in argument.flags or ("",)]
    return f"    {command.name})\n        _arguments {' '.join(map(_quote, specs))}\n        ;;"


def _zsh_spec(argument: Argument, flag: str) -> str:
    """One specification of `_arguments`: flag[help]:value:completer, or :value:completer for a positional."""
    completer = f"({' '.join(argument.choices)})" if argument.choices else "_files" if argument.is_path else " "
    value = f":{_plain(argument.value)}:{completer}" if argument.value else ""
    return f"{flag}[{_plain(argument.help)}]{value}" if flag else value


def _plain(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", " ".join(text.split()))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


if __name__ == "__main__":
    sys.stdout.write({"bash": bash, "zsh": zsh}[sys.argv[1]](tuple(commands())))
