"""Measure what long texts do to short ones and to the event loop, with a classifier in this process as the daemon has.

1. A classifier of ModernBERT-base's shape that reads 8,192 tokens, with random weights: short texts arrive alone, and
   then while two prompts of 3,650 tokens are classified again and again.
2. The lag of the event loop while eight prompts of 500 tokens are always in flight: on threads of a lower priority, as
   the daemon has them; on threads of the loop's own priority; and in a process of its own, whose pipe is not counted.

Writes benchmarks/results/long-texts.json. The folder given keeps the model for later runs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import uvloop
from provenance import provenance
from startup import RESULT
from target import median, quantile

from pointsman.classify import artifact, classifier
from pointsman.classify.artifact import sha256
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import FORMAT_VERSION, MODEL, TOKENIZER, Manifest, Source
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ClassifierError
from pointsman_export.common.answers import write_manifest
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.interface import OUTPUT
from pointsman_export.export.recipe import FastRecipe
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.export.torch_model import load_model
from support.checkpoint import BASE, make_checkpoint

MOST_TOKENS = 8192
LONG_TOKENS, LONG_TEXTS = 3650, 2
SHORT = "What does the daemon measure first, and why? Case"
EVERY_S = 0.1
"""Between two short texts: far enough apart to find the host idle but for the long ones."""
SECONDS = 30.0
AT_ONCE, PROMPT_TOKENS = 8, 500
TICK_S = 0.005
CHARACTERS_PER_TOKEN = 4
SENTENCE = "How does the compiler allocate its registers? "
REFUSED_S = 0.1
Outcome = int | str
"""The tokens that were read, or why there is no class."""
NUMBERS = itertools.count()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the model")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    options = parser.parse_args()
    base = base_model(options.work / "models" / "base-8k")
    result = provenance() | {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "load_before": round(os.getloadavg()[0], 1),
        "long_tokens": LONG_TOKENS,
        "short_beside_long": run(base, lambda served: short_beside_long(served, options.seconds)),
        "loop_lag_ms": {
            name: {how: lag(folder, how, options.seconds) for how in LOADS}
            for name, folder in (("built-in", artifact.BUILTIN), ("base", base))
        },
    }
    print(json.dumps(result, indent=2))
    RESULT.with_name("long-texts.json").write_text(json.dumps(result, indent=2) + "\n")


def base_model(folder: Path) -> Path:
    """Create the artifact of ModernBERT-base's shape unless it is there; its cost does not depend on its weights."""
    if not (folder / artifact.MANIFEST).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        source = folder / "source"
        make_checkpoint(source, BUILT_IN[:28], BASE)
        checkpoint = open_checkpoint(str(source))
        recipe = FastRecipe(checkpoint, load_model(checkpoint), "token")
        recipe.write_int8(folder / MODEL)
        shutil.copyfile(checkpoint.tokenizer, folder / TOKENIZER)
        shutil.rmtree(source)
        write_manifest(
            folder,
            Manifest(
                format_version=FORMAT_VERSION,
                labels=checkpoint.labels,
                max_tokens=MOST_TOKENS,
                inputs=recipe.interface.names,
                output=OUTPUT,
                opset=23,
                precision="int8",
                target="cpu",
                temperature=1.0,
                suggested_threshold=None,
                source=Source(name="random", sha256=""),
                files={name: sha256(folder / name) for name in (MODEL, TOKENIZER)},
                verification={},
                versions={},
                created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            ),
        )
    return folder


def run(folder: Path, measure: Callable[[Classifier], Any]) -> Any:
    """Return what a coroutine function measures, on the daemon's event loop."""
    options = ClassifierOptions(cache_entries=0)
    with contextlib.closing(Classifier(artifact.load(folder), options)) as served:
        return asyncio.Runner(loop_factory=uvloop.new_event_loop).run(measure(served))


# --- short texts ---------------------------------------------------------------------------------------------------


async def short_beside_long(served: Classifier, seconds: float) -> dict[str, Any]:
    idle = await short_texts(served, seconds)
    outcomes: list[Outcome] = []
    async with always(served, LONG_TOKENS, LONG_TEXTS, outcomes):
        beside = await short_texts(served, seconds)
    read = [outcome for outcome in outcomes if isinstance(outcome, int)]
    idle_ms, beside_ms = ([1000 * value for value in times] for times in (idle, beside))
    return {
        "settings": served.settings(),
        "idle_ms": spread(idle_ms),
        "beside_ms": spread(beside_ms),
        "most_ms": round(2 * median(idle_ms) + 50, 1),
        "long": len(outcomes),
        "classified": len(read),
        "not_classified": Counter(outcome for outcome in outcomes if isinstance(outcome, str)),
        "tokens_read": median(read),
    }


async def short_texts(served: Classifier, seconds: float) -> list[float]:
    """Classify short texts at fixed times; return the seconds of each."""
    loop = asyncio.get_running_loop()
    ends, due = loop.time() + seconds, loop.time()
    found = []
    while (due := due + EVERY_S) < ends:
        await asyncio.sleep(due - loop.time())
        started = time.perf_counter()
        await served.classify(f"{SHORT} {next(NUMBERS)}")
        found.append(time.perf_counter() - started)
    return found


@contextlib.asynccontextmanager
async def always(served: Classifier, tokens: int, count: int, outcomes: list[Outcome]) -> AsyncIterator[None]:
    """Keep `count` prompts of `tokens` in flight; what became of each is added to `outcomes`."""
    text = SENTENCE * (tokens * CHARACTERS_PER_TOKEN // len(SENTENCE))

    async def ask() -> None:
        while True:
            try:
                found = await served.classify(f"{next(NUMBERS)} {text}")
            except ClassifierError as error:
                outcomes.append(error.reason)
                await asyncio.sleep(REFUSED_S)  # as a client that has its answer by the fallback
            else:
                outcomes.append(found.tokens)

    tasks = [asyncio.create_task(ask()) for _ in range(count)]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


# --- the event loop ------------------------------------------------------------------------------------------------


def lag(folder: Path, how: str, seconds: float) -> dict[str, float]:
    """Return the lag of this process's event loop under the load `how`."""
    with LOADS[how](folder, seconds):
        if how == "process":
            return spread(asyncio.Runner(loop_factory=uvloop.new_event_loop).run(lags(seconds)))
        found: dict[str, float] = run(folder, lambda served: lags_beside(served, seconds))
        return found


async def lags_beside(served: Classifier, seconds: float) -> dict[str, float]:
    async with always(served, PROMPT_TOKENS, AT_ONCE, []):
        return spread(await lags(seconds))


async def lags(seconds: float) -> list[float]:
    """Return by how many milliseconds each wake-up of a task was late."""
    found = []
    ends = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < ends:
        await asyncio.sleep(TICK_S)
        found.append(1000 * max(0.0, time.perf_counter() - begun - TICK_S))
    return found


@contextlib.contextmanager
def as_served(_folder: Path, _seconds: float) -> Iterator[None]:
    """On threads, as the daemon starts them."""
    yield


@contextlib.contextmanager
def same_priority(_folder: Path, _seconds: float) -> Iterator[None]:
    """On threads of the loop's own priority."""
    with mock.patch.object(classifier, "NICE_SHORT", 0), mock.patch.object(classifier, "NICE_LONG", 0):
        yield


@contextlib.contextmanager
def in_a_process(folder: Path, seconds: float) -> Iterator[None]:
    """In a process of its own, whose threads have the same priorities."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=busy, args=(folder, seconds + 5, ready))
    child.start()
    ready.wait()
    yield
    child.kill()
    child.join()


def busy(folder: Path, seconds: float, ready: Any) -> None:
    async def load(served: Classifier) -> None:
        async with always(served, PROMPT_TOKENS, AT_ONCE, []):
            ready.set()
            await asyncio.sleep(seconds)

    run(folder, load)


LOADS = {"threads": as_served, "threads_same_priority": same_priority, "process": in_a_process}


def spread(values: list[float]) -> dict[str, float]:
    return {
        "count": len(values),
        "p50": round(median(values), 2),
        "p99": round(quantile(values, 0.99), 2),
        "max": round(max(values), 2),
    }


if __name__ == "__main__":
    main()
