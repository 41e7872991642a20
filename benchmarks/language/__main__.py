"""Measure what the language gate stops, lets pass and costs; write benchmarks/results/languages.json and languages.md.

The asks of this folder are always judged. DATA, if given, has users' prompts in English, of which the gate may stop
hardly any, and on which its peers are brought to the same rate of false alarms.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from markdown import publish
from provenance import provenance
from startup import RESULT

from language import measure
from language.catalogues import translated
from language.report import rendered
from language.texts import english, foreign, users
from pointsman.classify.artifact import BUILTIN, load
from pointsman.classify.engine import Engine
from pointsman.classify.language import LanguageGate
from pointsman.classify.providers import CPU

CATALOGUES = Path("/usr/share/locale")
"""The messages of this host's programs in other languages."""
BEHIND = 2000
"""Users' prompts that are judged after a run."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STATE_DIRECTORY"] = folder  # nothing is stored there by an earlier start
        before, started = resident(), time.process_time()
        gate = LanguageGate(["en"])
    loaded = {"cpu_s": round(time.process_time() - started, 2), "mib": round(resident() - before)}
    run = built_in_run()
    asks, texts = foreign(), english()
    pure = [text for text in asks if text.kind != "mixed"]
    result: dict[str, Any] = provenance() | {
        "load": loaded,
        "languages": measure.by_language(gate, pure),
        "foreign": measure.by_kind(gate, asks),
        "english": measure.by_kind(gate, texts),
        "declared": measure.declared(pure),
        "catalogues": measure.catalogues(gate, translated(CATALOGUES)),
        "cost": {
            "asks in English": measure.cost(gate.judge, [text.text for text in texts]),
            "asks in other languages": measure.cost(gate.judge, [text.text for text in asks]),
            "asks in English, each behind a run": measure.cost_after(run, gate.judge, [text.text for text in texts]),
            "asks in other languages, each behind a run": measure.cost_after(
                run, gate.judge, [text.text for text in asks]
            ),
        },
    }
    if data is not None:
        prompts = users(data)
        every = [text for found in prompts.values() for text in found]
        long = [text for text in every if len(text) > 1000]
        result["users"] = measure.false_alarms(gate.judge, prompts)
        result["cost"]["users' prompts of more than 1,000 characters"] = measure.cost(gate.judge, long)
        result["cost"]["users' prompts, each behind a run"] = measure.cost_after(run, gate.judge, every[:BEHIND])
        result["peers"] = measure.peers(every, pure)
    publish(RESULT.with_name("languages.json"), result, rendered(result))


def built_in_run() -> Callable[[], object]:
    """Return a run of the built-in classifier on 20 tokens, after which what it needs has taken the caches."""
    engine = Engine(load(BUILTIN), [CPU])
    ids = [np.arange(1000, 1020)]
    return lambda: engine.run(ids)


def resident() -> float:
    """Return the resident memory in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
