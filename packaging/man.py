"""Write the man page: `python packaging/man.py VERSION > pointsman.1`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from command_line import Argument, Command, commands

HEAD = r""".TH POINTSMAN 1 "" "Pointsman {version}" "User Commands"
.SH NAME
pointsman \- route OpenAI requests to the LoRA adapter that fits
.SH SYNOPSIS
.B pointsman
.I COMMAND
[\fIARGUMENT\fR...]
.SH DESCRIPTION
Pointsman stands in front of vLLM.
It classifies the prompt of each OpenAI request, sets the request's model to the LoRA adapter that fits, and streams the
answer back.
.SH COMMANDS
"""
TAIL = r""".SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 1
The command failed.
.TP
.B 2
Wrong usage.
.TP
.B 3
It cannot start with this configuration, classifier or address.
.TP
.B 141
The reader of the output has gone.
.SH FILES
.TP
.I /etc/pointsman/config.yaml
The configuration of the service.
.TP
.I /var/lib/pointsman
What the service keeps for its next start.
.TP
.I /usr/share/pointsman
Drop-ins for the service's unit.
.SH SEE ALSO
.BR systemctl (1),
.I /usr/share/doc/pointsman
"""


def page(version: str) -> str:
    return HEAD.format(version=version) + "".join(map(section, commands())) + TAIL


def section(command: Command) -> str:
    """The part of one command."""
    lines = [
        f".SS {escape(command.name)}",
        f"{escape(sentence(command.help))}",
        ".PP",
        ".nh",
        escape(command.usage),
        ".hy",
    ]
    return "\n".join([*lines, *(line for argument in command.arguments for line in entry(argument))]) + "\n"


def entry(argument: Argument) -> Iterator[str]:
    """The lines of one argument."""
    yield ".TP"
    flags = ", ".join(rf"\fB{escape(flag)}\fR" for flag in argument.flags)
    yield " ".join(filter(None, [flags, rf"\fI{escape(argument.value)}\fR" if argument.value else ""]))
    yield escape(sentence(argument.help))


def sentence(text: str) -> str:
    """A help text, which begins with a small letter and has no full stop, as a sentence."""
    return text[:1].upper() + text[1:] + "." if text else ""


def escape(text: str) -> str:
    """The text as roff has it: no escapes, real hyphens, and no line that begins like a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("\n", " ")
    return rf"\&{escaped}" if escaped[:1] in {".", "'"} else escaped


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))
