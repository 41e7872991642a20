"""Parse the command line of `pointsman teach` and run it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pointsman import files
from pointsman.config.load import LoadedConfig, default_path, load
from pointsman.config.model import Endpoint
from pointsman.config.relay import MAX_PRIORITY
from pointsman.config.secret import read_secret
from pointsman.improve.folder import ARTIFACTS, LABELS, TAUGHT, TEACHING
from pointsman_export.common.command import run
from pointsman_export.common.errors import TeachingError

if TYPE_CHECKING:
    from pointsman.improve.taught_file import TaughtRow
    from pointsman_export.teach.curriculum import Curriculum
    from pointsman_export.teach.notebook import Notebook
    from pointsman_export.teach.served_model import ServedModel
    from pointsman_export.teach.teacher import Lessons

    Shown = Callable[[int, int], None]
    Work = Callable[[ServedModel, Notebook, Shown], Coroutine[object, object, Lessons]]

_DESCRIPTION = """\
Let a model that vLLM serves write prompts for each described category and for none, show it each one again among all
categories, and make a classifier that has learned those on which it agrees with itself. It decides nothing until
`pointsman classifier promote`; put it into `classifier.shadow` to watch it before."""

_EPILOG = """\
The rows are in improve/taught.jsonl in the state directory, one {"text": ..., "label": ...} per line; edit them, and
make the classifier of them with --from. A teaching that was stopped goes on where it stopped.

The descriptions go to the model, with --label the stored texts, too. Only the config's endpoints are asked; another
host has to be named twice, in --url and in --send-texts-to."""

NICE = 10
MIN_ROWS, MAX_ROWS = 5, 100
MAX_PARALLEL = 16


def main(argv: list[str]) -> int:
    """Teach according to `argv` and return the exit code: 0 for success, 1 for failure.

    Wrong usage raises SystemExit with code 2.
    """
    options = command_parser().parse_args(argv)
    # OpenBLAS reads this when numpy is imported; see `fit`.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    output = options.output or files.service_state() / ARTIFACTS / time.strftime("%Y%m%d-%H%M%S")

    def work() -> str:
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        return _teach(options, output)

    return run("teach", output, work)


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog="pointsman teach",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="config with the categories")
    parser.add_argument(
        "--from", dest="rows_file", type=Path, metavar="FILE", help="ask nobody: make the classifier of these rows"
    )
    parser.add_argument(
        "--label",
        action="store_true",
        help="ask which category each of the stored texts belongs to, instead of for prompts",
    )
    parser.add_argument("--model", metavar="NAME", help="model that is asked (default: the config's default model)")
    parser.add_argument("--url", help="server that is asked (default: the config's first endpoint)")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="file with the key of --url")
    parser.add_argument("--send-texts-to", metavar="HOST", help="host of a --url that is no endpoint of the config")
    parser.add_argument(
        "--rows",
        type=_between(MIN_ROWS, MAX_ROWS),
        default=30,
        metavar="N",
        help="prompts of each category, and half of those of none (default: %(default)s)",
    )
    parser.add_argument(
        "--parallel",
        type=_between(1, MAX_PARALLEL),
        default=2,
        metavar="N",
        help="questions at a time (default: %(default)s); none while requests wait at the server",
    )
    parser.add_argument(
        "--base", metavar="ARTIFACT", help="classifier that learns (default: the one that the config names)"
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="DIR",
        help="folder of the classifier; must not exist yet (default: a new one in the state directory)",
    )
    parser.add_argument("--no-rows", action="store_true", help="do not keep the rows beside the classifier")
    parser.add_argument("--force", action="store_true", help="replace an existing classifier")
    return parser


def _teach(options: argparse.Namespace, output: Path) -> str:
    """Write the artifact and return the report; raises ExportError or CannotStart."""
    # slow to import, and --help does not need them
    from pointsman.classify import artifact
    from pointsman_export.correct.command import hand_over
    from pointsman_export.fit.progress import Progress
    from pointsman_export.teach.head import TeachingRequest, make
    from pointsman_export.teach.rows import read_rows

    loaded = load(options.config or default_path())
    named = options.base or loaded.config.classifier.category_model.model_id
    base = artifact.resolve(named, Path.cwd() if options.base else loaded.folder)
    rows = _asked(options, loaded, base) if options.rows_file is None else read_rows(options.rows_file)
    texts = loaded.config.pointsman.log.texts_file
    request = TeachingRequest(
        config=loaded.config,
        base=base,
        texts=None if texts is None else Path(texts),
        output=output,
        keeps_rows=not options.no_rows,
        force=options.force,
    )
    files.make_folder(output.parent)
    report = make(request, rows, Progress(sys.stderr))
    hand_over(output, base, loaded)
    return "\n".join(report.lines())


def _asked(options: argparse.Namespace, loaded: LoadedConfig, base: Path) -> Sequence[TaughtRow]:
    """Return the rows that a model writes or labels, with those from before; raises TeachingError or CannotStart."""
    from pointsman.cli.http_client import connected
    from pointsman_export.teach.asking_progress import AskingProgress
    from pointsman_export.teach.curriculum import curriculum
    from pointsman_export.teach.notebook import Notebook
    from pointsman_export.teach.rows import merged, write_rows
    from pointsman_export.teach.served_model import ServedModel

    endpoint, key = _server(options, loaded)
    model = options.model or loaded.config.default_model
    by_priority = options.url is None and loaded.config.pointsman.relay.scheduling_policy == "priority"
    priority = MAX_PRIORITY if by_priority else None
    asked = curriculum(loaded.config, base, options.rows, f"{model} at {endpoint.address}")
    work = _label(options, loaded, asked) if options.label else _write(options, asked)
    rows_file = files.service_state() / TAUGHT
    shown = AskingProgress()

    async def ask() -> Lessons:
        async with connected(endpoint, key) as client:
            served = ServedModel(client, model, priority)
            shown.tokens = served.count
            await served.check()
            return await work(served, Notebook(files.service_state() / TEACHING), shown.rows)

    try:
        found = asyncio.run(ask())
    except KeyboardInterrupt:
        raise TeachingError("interrupted; the same command goes on where this one stopped") from None
    shown.end(found)
    if not found.rows:
        raise TeachingError(f"no row came of it{'' if found.trouble is None else f': {found.trouble}'}")
    rows = merged(rows_file, found.rows, stored=options.label)
    write_rows(rows_file, rows)
    files.hand_over(rows_file)
    print(f"pointsman teach: {len(rows):,} rows in {rows_file}", file=sys.stderr)
    return rows


def _write(options: argparse.Namespace, asked: Curriculum) -> Work:
    from pointsman_export.teach.teacher import Teacher

    print(f"pointsman teach: {asked.by} gets the descriptions of {len(asked.known)} categories", file=sys.stderr)

    async def work(served: ServedModel, notebook: Notebook, shown: Shown) -> Lessons:
        return await Teacher(asked, served, notebook, options.parallel, shown).teach()

    return work


def _label(options: argparse.Namespace, loaded: LoadedConfig, asked: Curriculum) -> Work:
    from pointsman.improve.labels_file import read_labels
    from pointsman_export.common.stored_texts import latest_texts
    from pointsman_export.teach.judging import Judge
    from pointsman_export.teach.labelling import by_people, fair, labelled
    from pointsman_export.teach.teacher import Lessons

    file = loaded.config.pointsman.log.texts_file
    texts = fair(latest_texts(None if file is None else Path(file)))
    if not texts:
        raise TeachingError(f"no texts are stored in {file}" if file else "pointsman.log.texts_file is not set")
    people = by_people(read_labels(files.service_state() / LABELS), [one.name for one in asked.known])
    print(f"pointsman teach: {asked.by} gets {len(texts):,} texts of your users", file=sys.stderr)

    async def work(served: ServedModel, notebook: Notebook, shown: Shown) -> Lessons:
        judge = Judge(asked.known, served, notebook, asyncio.Semaphore(options.parallel), asked.by)
        rows, trouble = await labelled(texts, people, judge, shown)
        return Lessons(rows, trouble=trouble)

    return work


def _server(options: argparse.Namespace, loaded: LoadedConfig) -> tuple[Endpoint, bytes | None]:
    """Return who is asked, and the key for it; raises TeachingError or CannotStart."""
    endpoints = loaded.config.vllm_endpoints
    if options.url is None:
        if options.key_file is not None:
            raise TeachingError("--key-file is for --url; the config names the key of its endpoints")
        file = loaded.config.pointsman.relay.api_key_file
        return endpoints[0], None if file is None else read_secret(file, "pointsman.relay.api_key_file")
    endpoint = Endpoint(name="teacher", address=options.url.rstrip("/").removesuffix("/v1"))
    key = None if options.key_file is None else read_secret(str(options.key_file), "--key-file")
    if endpoint.base_url in (one.base_url for one in endpoints):
        return endpoint, key
    host = urlsplit(endpoint.base_url).hostname
    if options.send_texts_to != host:
        raise TeachingError(f"{host} is no endpoint of the config: texts go there only with --send-texts-to {host}")
    if key is not None and not endpoint.base_url.startswith("https:"):
        raise TeachingError(f"the key would go to {host} in plain text; name it with https://")
    return endpoint, key


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not {low} to {high}")
        return value

    return parse
