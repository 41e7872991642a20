"""The command line. Exit codes: 0 well, 1 failed, 2 usage, 3 cannot start, 141 nobody reads the output any more."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pointsman import __version__
from pointsman.errors import CannotStart, ConfigError

DEFAULT_CONFIG = Path("config/config.yaml")
CANNOT_START = 3
READER_LEFT = 141  # what a shell says of a program that SIGPIPE ended
_VERSION = f"pointsman {__version__}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        try:
            return _run(sys.argv[1:] if argv is None else list(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # `pointsman eval ... | head`: whoever reads has enough. What is still buffered must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["export"]:
        from pointsman_export.main import main as export

        return export(arguments[1:])
    if arguments[:1] == ["fit"]:
        from pointsman_export.fit import main as fit

        return fit(arguments[1:])
    try:
        if arguments[:1] == ["eval"]:
            from pointsman.evaluation.main import main as evaluate

            return evaluate(arguments[1:])
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
    except CannotStart as error:
        print(f"pointsman: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 1
    return CANNOT_START


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pointsman", description="Routes OpenAI requests to the LoRA adapter that fits."
    )
    parser.add_argument("--version", action="version", version=_VERSION)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service")
    _config_option(serve)
    serve.add_argument(
        "--vllm", type=_address, metavar="HOST:PORT", help="a vLLM to use in place of the config's endpoints"
    )
    serve.add_argument("--demo", action="store_true", help="also run a stand-in for vLLM at the config's endpoints")
    levels = ("debug", "info", "warning", "error")
    serve.add_argument("--log-level", choices=levels, help="least severe line of the log; wins over the config's")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="print a config's errors and warnings")
    check.add_argument("file", type=Path, nargs="?", default=DEFAULT_CONFIG, metavar="FILE")
    check.set_defaults(run=_check)

    explain = commands.add_parser("explain", help="show how a prompt would be routed, and why")
    explain.add_argument("text", metavar="TEXT")
    _config_option(explain)
    explain.add_argument("--json", action="store_true", help="as POST /v1/route answers it")
    explain.set_defaults(run=_explain)

    adapters = commands.add_parser("adapters", help="show, load and unload the adapters of a running service's vLLM")
    adapters.add_argument("action", nargs="?", choices=("list", "load", "unload"), default="list")
    adapters.add_argument("name", nargs="?", metavar="NAME", help="adapter to load or unload")
    _config_option(adapters)
    adapters.add_argument("--json", action="store_true", help="as the admin port answers it")
    adapters.set_defaults(run=_adapters, parser=adapters)

    commands.add_parser("eval", help="measure a classifier, or replay a decision log", add_help=False)
    commands.add_parser("export", help="turn a ModernBERT classifier into an artifact", add_help=False)
    commands.add_parser("fit", help="train a head for your own labels on an artifact", add_help=False)
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    return parser


def _config_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")


def _address(text: str) -> str:
    """`host:port` as a URL; `http(s)://...` and `unix:/path` as they are."""
    from pointsman.config.address import check_endpoint

    address = text if text.startswith("unix:") or "://" in text else f"http://{text}"
    try:
        check_endpoint(address, None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return address


def _serve(options: argparse.Namespace) -> int:
    import uvloop

    from pointsman.classify.batch import usable_cores
    from pointsman.classify.runtime import set_up_malloc
    from pointsman.reload import Source
    from pointsman.server import serve
    from pointsman.systemd import take

    set_up_malloc(usable_cores())
    systemd = take(os.environ)
    source = Source(options.config, options.vllm, options.log_level)
    prepared = source.prepare()
    gc.freeze()  # what start-up left will not be garbage: full collections need not walk it
    uvloop.run(serve(source, prepared, stand_in=options.demo, systemd=systemd))
    return 0


def _check(options: argparse.Namespace) -> int:
    from pointsman.check import run

    return run(options.file, sys.stdout)


def _explain(options: argparse.Namespace) -> int:
    import asyncio

    import msgspec

    from pointsman import openai
    from pointsman.adapters import Served
    from pointsman.explain import describe, render
    from pointsman.prepare import prepare
    from pointsman.router import Router

    prepared = prepare(options.config)
    router = Router(prepared.config, prepared.classifier, Served)
    text = options.text.encode(errors="surrogateescape").decode(errors="replace")  # as the shell gave it
    body = {"model": prepared.config.auto_model_name, "messages": [{"role": "user", "content": text}]}
    request = openai.parse(openai.Api.CHAT, msgspec.json.encode(body))
    description = describe(router, request, asyncio.run(router.route(request)))
    prepared.classifier.close()
    print(msgspec.json.format(msgspec.json.encode(description)).decode() if options.json else render(description))
    return 0


def _adapters(options: argparse.Namespace) -> int:
    import json

    from pointsman.admin_client import AdminError, ask
    from pointsman.config.load import load
    from pointsman.inventory import render, render_change

    changes = options.action != "list"
    if changes is not (options.name is not None):
        options.parser.error("load and unload need a NAME, list takes none")
    address = load(options.config).config.pointsman.server.admin_listen
    try:
        if changes:
            answer = ask(address, "POST", f"/adapters/{options.action}", {"name": options.name})
            failed = any(answer["endpoints"].values())
        else:
            answer, failed = ask(address, "GET", "/adapters"), False
    except AdminError as error:
        print(f"pointsman: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(render_change(answer, options.action) if changes else render(answer))
    return int(failed)


def _version(_: argparse.Namespace) -> int:
    print(_VERSION)
    return 0
