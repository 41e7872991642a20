"""Define the arguments of all commands. Each command's module is imported only when it runs, so start-up stays fast."""

from __future__ import annotations

import argparse
import re
from functools import cache
from pathlib import Path
from typing import TypeAlias, get_args

from pointsman import __version__
from pointsman.arguments import ArgumentParser
from pointsman.config.access import QueueField

VERSION = f"pointsman {__version__}"
DEFAULT_VLLM = "http://127.0.0.1:8000"
WHERE = "/etc/pointsman/config.yaml if it exists, else config/config.yaml"
_Commands: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"


@cache
def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; the parsed options hold the `command`."""
    found = ArgumentParser(prog="pointsman", description="Routes OpenAI requests to the LoRA adapter that fits.")
    found.add_argument("--version", action="version", version=VERSION)
    commands = found.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    _serve(commands)
    _check(commands)
    _init(commands)
    _migrate(commands)
    _status(commands)
    _explain(commands)
    _why(commands)
    _mode(commands)
    _canary(commands)
    _classifier(commands)
    _compare(commands)
    _config(commands)
    _adapters(commands)
    _keys(commands)
    _texts(commands)
    _collect(commands)
    _label(commands)
    commands.add_parser("eval", help="measure a classifier, or replay a decision log", add_help=False)
    commands.add_parser("export", help="convert a classifier into an artifact", add_help=False)
    commands.add_parser("fit", help="train a head for your own labels on an artifact", add_help=False)
    commands.add_parser("teach", help="let a served model write prompts for described categories", add_help=False)
    commands.add_parser("replay", help="repeat the decisions of a log: `eval --replay`", add_help=False)
    commands.add_parser("version", help="print the version")
    return found


def _serve(commands: _Commands) -> None:
    command = commands.add_parser("serve", help="run the service")
    _config_option(command)
    command.add_argument(
        "--vllm", type=_address, metavar="HOST:PORT", help="address of a vLLM, used instead of the config's endpoints"
    )
    command.add_argument("--demo", action="store_true", help="also run a stand-in for vLLM at the config's endpoints")
    levels = ("debug", "info", "warning", "error")
    command.add_argument("--log-level", choices=levels, help="least severe level to log; overrides the config")


def _check(commands: _Commands) -> None:
    command = commands.add_parser("check", help="print a config's errors and warnings")
    command.add_argument("file", type=Path, nargs="?", metavar="FILE", help=f"the config; default: {WHERE}")
    command.add_argument(
        "--listen",
        action="append",
        default=[],
        type=_listener,
        metavar="ADDRESS",
        help="an address at which systemd listens for the service (pointsman.socket), host:port or unix:/path",
    )
    command.add_argument(
        "--deep",
        action="store_true",
        help="also load the classifier, and say which described categories are near each other, which of their "
        "examples go elsewhere, and where more of them would help",
    )


def _init(commands: _Commands) -> None:
    command = commands.add_parser("init", help="write a config for the models of a running vLLM, or add to one")
    command.set_defaults(parser=command)
    command.add_argument(
        "--vllm",
        type=_address,
        metavar="URL",
        help=f"its address, host:port, http(s)://... or unix:/path (default: {DEFAULT_VLLM})",
    )
    command.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FILE",
        help="the config to write; default: /etc/pointsman/config.yaml for root where the service is installed, else "
        "config/config.yaml",
    )
    command.add_argument("--api-key-file", type=Path, metavar="FILE", help="file with the key of vLLM's --api-key")
    command.add_argument("--force", action="store_true", help="overwrite an existing config")
    command.add_argument(
        "--add",
        action="store_true",
        help="insert a category for each adapter that none names into an existing config",
    )


def _migrate(commands: _Commands) -> None:
    command = commands.add_parser(
        "migrate",
        help="convert a configuration of vLLM Semantic Router",
        description="Print the result, and a note on each part of the file to standard error. Exit codes: 0 the "
        "result passes `check`, 1 the result is incomplete and must be filled in, 3 nothing was written.",
    )
    command.add_argument("file", type=Path, metavar="FILE")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the result to a file")
    command.add_argument("--force", action="store_true", help="overwrite the file of -o")


def _status(commands: _Commands) -> None:
    command = commands.add_parser("status", help="show how the running service does")
    _config_option(command)
    command.add_argument("--json", action="store_true", help="print the admin port's JSON response")


def _explain(commands: _Commands) -> None:
    command = commands.add_parser(
        "explain",
        help="show how a request would be routed, and why",
        description="The running service answers, by its admin port. If none runs, the config alone decides.",
    )
    command.add_argument("text", nargs="?", metavar="TEXT", help="what a user asks")
    command.add_argument(
        "--request", type=Path, metavar="FILE", help="a file with the JSON body of a whole request; - is standard input"
    )
    _config_option(command)
    command.add_argument("--offline", action="store_true", help="ask no service: decide as the config says")
    command.add_argument("--json", action="store_true", help="print the JSON of POST /v1/route, and the service")
    command.set_defaults(parser=command)


def _why(commands: _Commands) -> None:
    command = commands.add_parser(
        "why",
        help="show everything in the log about one request: the decision, its reason, and the outcome",
        description="The running service answers for the newest requests, by its admin port. An older one is in its "
        "log: name that, and its older files.",
    )
    command.add_argument(
        "id", type=_request_id, metavar="ID", help="the X-Request-Id of the answer, or at least its first 6 characters"
    )
    command.add_argument(
        "logs",
        type=Path,
        nargs="*",
        default=(),
        metavar="LOG",
        help="read this log of `serve` instead of asking the service, also of journalctl, compressed by gzip, or `-`",
    )
    _config_option(command)
    command.add_argument("--text", action="store_true", help="also show the beginning of the text, if texts are stored")
    command.add_argument("--json", action="store_true", help="print the log's fields as JSON")


def _mode(commands: _Commands) -> None:
    command = commands.add_parser(
        "mode",
        help="show how much a running service routes, or set it at once",
        description="`off` and `shadow` apply to all categories, `on` replaces routing.mode; `config` applies the "
        "config file again. The setting survives reloads and restarts.",
    )
    command.add_argument("mode", nargs="?", choices=("off", "shadow", "on", "config"))
    command.add_argument(
        "--for",
        type=_lasting,
        dest="seconds",
        metavar="TIME",
        help="of off, shadow and on: afterwards routing is as it was; 10s to 30d, as 90s, 15m, 1h",
    )
    _config_option(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(parser=command)


def _canary(commands: _Commands) -> None:
    command = commands.add_parser("canary", help="list, promote or roll back the canaries of a running service")
    command.add_argument("action", nargs="?", choices=("list", "promote", "rollback", "restart"), default="list")
    command.add_argument("category", nargs="?", metavar="CATEGORY", help="the category whose canary it is")
    _config_option(command)
    _yes_option(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(parser=command)


def _classifier(commands: _Commands) -> None:
    command = commands.add_parser(
        "classifier",
        help="list the classifiers of a running service, put one to use, go back, or discard one",
        description="`promote` lets an artifact of `fit --labelled` serve instead of the config's classifier, once "
        "the service has proven it; `rollback` lets the one before serve again. Both survive restarts, and "
        "apply until the config names another. `discard` deletes an artifact of the list that nothing uses.",
    )
    command.add_argument("action", nargs="?", choices=("list", "promote", "rollback", "discard"), default="list")
    command.add_argument(
        "artifact",
        nargs="?",
        metavar="ARTIFACT",
        help="of promote: a name in the list, or a folder; default: the newest; of discard: a name in the list",
    )
    _config_option(command)
    _yes_option(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(parser=command)


def _compare(commands: _Commands) -> None:
    command = commands.add_parser(
        "compare",
        help="compare two models, or two arms of an experiment, by the service's log",
        description="A side is a model, or an arm: canary, stable, routed, holdback. The verdict is valid whenever and "
        "however often it is looked at.",
    )
    command.add_argument("first", metavar="A")
    command.add_argument("second", metavar="B")
    command.add_argument(
        "--log",
        type=Path,
        default=Path("-"),
        metavar="FILE",
        help="the service's log; default: standard input",
    )
    command.add_argument("--label", metavar="NAME", help="judge how often this label was given; choose it beforehand")
    command.add_argument("--since", metavar="WHEN", help="leave out earlier lines: 90m, 2h, 3d ago, or a date in UTC")
    _config_option(command)


def _config(commands: _Commands) -> None:
    command = commands.add_parser(
        "config",
        help="print what a running service holds beside its config file",
        description="`overlay` prints what commands have set, as YAML.",
    )
    command.add_argument("action", type=_no_rollback, choices=("overlay",))
    _config_option(command)
    command.add_argument("--json", action="store_true", help="print JSON")


def _adapters(commands: _Commands) -> None:
    command = commands.add_parser("adapters", help="list, load and unload the adapters of a running service's vLLM")
    command.add_argument("action", nargs="?", choices=("list", "load", "unload"), default="list")
    command.add_argument("name", nargs="?", metavar="NAME", help="adapter to load or unload")
    command.add_argument("--force", action="store_true", help="unload an adapter that nobody knows how to load again")
    _config_option(command)
    command.add_argument("--json", action="store_true", help="print the admin port's JSON response")
    command.set_defaults(parser=command)


def _keys(commands: _Commands) -> None:
    command = commands.add_parser(
        "keys",
        help="add, list, rotate and revoke the clients' keys",
        description="`rotate` gives a key a second secret; both are valid until `drop-old` revokes the older one, or "
        "`drop-new` the newer one. `revoke` removes the key.",
    )
    actions = ("add", "list", "rotate", "drop-old", "drop-new", "revoke")
    command.add_argument("action", nargs="?", choices=actions, default="list")
    command.add_argument("name", nargs="?", metavar="NAME", help="whose key; list shows all")
    _config_option(command)
    command.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="of add: a model that the key may use, any number of times; default: all",
    )
    command.add_argument("--default-model", metavar="MODEL", help="of add: replaces the config's default_model")
    command.add_argument(
        "--upstream-key-file",
        metavar="FILE",
        help="of add: a file, relative to that of the keys, with the key that vLLM gets for this client",
    )
    command.add_argument("--expires", metavar="DAY", help="of add: the last day (UTC) of the key, as 2027-01-31")
    for flag, what in (
        ("--requests-per-minute", "requests a minute"),
        ("--tokens-per-minute", "tokens a minute, of prompts and answers"),
        ("--max-in-flight", "requests at a time"),
        ("--max-body-bytes", "bytes of a request's body"),
    ):
        command.add_argument(flag, type=int, metavar="N", help=f"of add: the most {what}")
    command.add_argument("--priority", type=int, metavar="N", help="of add: the place in vLLM's queue; lower is first")
    command.add_argument(
        "--allow-field",
        action="append",
        choices=get_args(QueueField),
        help="of add: a field by which the client may itself choose its position in vLLM's queue, any number of times",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(parser=command)


def _texts(commands: _Commands) -> None:
    command = commands.add_parser(
        "texts",
        help="remove texts from the file pointsman.log.texts_file",
        description="A running service continues with the remaining texts.",
    )
    command.add_argument("action", choices=("delete",))
    command.add_argument(
        "--request-id", action="append", metavar="ID", help="the text stored for this request; any number"
    )
    command.add_argument("--text-hash", action="append", metavar="HASH", help="the text with this hash; any number")
    command.add_argument(
        "--client", action="append", metavar="NAME", help="the texts of a client's key, or of an address; any number"
    )
    command.add_argument("--older-than", metavar="WHEN", help="texts older than 90m, 2h, 3d, or a date in UTC")
    command.add_argument("--file", type=Path, metavar="FILE", help="default: the config's pointsman.log.texts_file")
    _config_option(command)
    command.set_defaults(parser=command)


def _collect(commands: _Commands) -> None:
    command = commands.add_parser(
        "collect",
        help="list the stored texts that a person should label, the most useful first",
        description="Doubtful and contested ones: bad feedback, another opinion of the classifier in shadow, no "
        "category chosen, two categories close to each other. Nearly the same texts are listed once. Texts are kept "
        "where pointsman.log.texts_file names a file.",
    )
    command.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="the service's log, if the file of texts lacks the shadow's decisions; - is standard input",
    )
    command.add_argument(
        "--limit", type=_count, default=200, metavar="N", help="maximum number of texts (default: %(default)s)"
    )
    command.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="the worklist; default: in the state directory"
    )
    _labels_option(command)
    _config_option(command)


def _label(commands: _Commands) -> None:
    command = commands.add_parser(
        "label",
        help="say which category texts of the worklist belong to",
        description="In a terminal, one key labels the text that is shown. The label `none` means that no category "
        "fits.",
    )
    command.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a worklist; default: that of `collect`")
    command.add_argument("--id", metavar="ID", help="label this text, without questions")
    command.add_argument("--label", metavar="LABEL", help="its category, or none")
    command.add_argument("--undo", action="store_true", help="take the last label back")
    _labels_option(command)
    _config_option(command)
    command.set_defaults(parser=command)


def _labels_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labels", type=Path, metavar="FILE", help="the labels given; default: in the state directory")


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 5_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 5,000")
    return value


def _lasting(text: str) -> int:
    from pointsman.cli.since import lasting

    try:
        return lasting(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _no_rollback(text: str) -> str:
    if text in {"list", "rollback", "follow"}:
        raise argparse.ArgumentTypeError("configs are no longer kept; restore the file from version control or a copy")
    return text


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"the config; default: {WHERE}")


def _yes_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="of promote: do not ask; only at a terminal is asked")


def _request_id(text: str) -> str:
    from pointsman.http1.forwarded_headers import REQUEST_ID

    if not re.fullmatch(REQUEST_ID, text):
        raise argparse.ArgumentTypeError(f"{text!r}: an id has at most 128 letters, digits, `.`, `_`, `:` and `-`")
    return text


def _listener(text: str) -> str:
    from pointsman.config.address import listen

    try:
        listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return text


def _address(text: str) -> str:
    """Return `host:port` as a URL, and `http(s)://...` and `unix:/path` unchanged."""
    from pointsman.config.address import check_endpoint

    address = text if text.startswith("unix:") or "://" in text else f"http://{text}"
    try:
        check_endpoint(address, None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return address
