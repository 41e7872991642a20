"""Measure what described categories cost at load: 50 adapters with ten examples each, in a service that classifies.

Reloads from the shipped config to one with all of them, to the same with another log level, and to one with a changed
example, and starts anew with their features in the state directory; the first of these also beside a client that asks
`/v1/route` all the time. Writes benchmarks/results/described.json.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from provenance import provenance
from startup import RESULT, ROOT, free_port, memory, post, serving
from target import quantile

from pointsman.classify import artifact
from pointsman.classify.category_head import make_head
from pointsman.config.load import load
from pointsman.evaluation.metrics import Floats

FLEETS = ROOT / "training" / "fleets"
ROUNDS = 5
ADAPTERS, EXAMPLES = 50, 10
QUIET_SECONDS = 5.0
PAUSE_SECONDS = 0.01


def main() -> None:
    rounds = [measure() for _ in range(ROUNDS)]
    found = {key: round(statistics.median(one[key] for one in rounds), 3) for key in rounds[0]}
    result = provenance() | {"adapters": ADAPTERS, "examples": EXAMPLES, "rounds": rounds, "median": found}
    RESULT.with_name("described.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def measure() -> dict[str, float]:
    """Return seconds of loads and starts, ms of answers and heads, and MiB; each service has a state directory."""
    with tempfile.TemporaryDirectory() as idle, tempfile.TemporaryDirectory() as busy:
        return _alone(Path(idle)) | _beside(Path(busy)) | {"unchanged_ms": 1000 * _unchanged(Path(idle))}


def _alone(folder: Path) -> dict[str, float]:
    """Measure a service that nobody asks, and its start with the features of the one before."""
    port, admin, config = free_port(), free_port(), folder / "config.yaml"
    plain = _ports(port, admin)
    config.write_text(written(plain, described=False))
    with serving(config, folder, port):
        found = {
            "plain_s": _reloaded(admin, config, written(plain | _level("debug"), described=False)),
            "first_s": _reloaded(admin, config, written(plain, described=True)),
            "same_s": _reloaded(admin, config, written(plain | _level("debug"), described=True)),
            "one_example_s": _reloaded(admin, config, written(plain, described=True, changed=True)),
        }
    with serving(config, folder, port) as (pid, seconds):
        found |= {"ready_s": seconds, "ready_rss_mib": memory(pid)["Rss"]}
        for number in range(400):
            post(port, "/v1/route", _asked(number))
        return found | {"used_rss_mib": memory(pid)["Rss"]}


def _beside(folder: Path) -> dict[str, float]:
    """Measure the answers of a service before and while it loads all of them."""
    port, admin, config = free_port(), free_port(), folder / "config.yaml"
    plain = _ports(port, admin)
    config.write_text(written(plain, described=False))
    with serving(config, folder, port), _RouteClient(port) as client:
        time.sleep(QUIET_SECONDS)
        quiet = client.taken()
        seconds = _reloaded(admin, config, written(plain, described=True))
        busy = client.taken()
    return {
        "first_beside_s": seconds,
        "quiet_p99_ms": 1000 * quantile(quiet, 0.99),
        "beside_p99_ms": 1000 * quantile(busy, 0.99),
    }


def _unchanged(folder: Path) -> float:
    """Return the seconds that the heads of a reload take if no text has changed; the rest of it is the file's."""
    file = folder / "unchanged.yaml"
    file.write_text(written({}, described=True))
    config, loaded = load(file).config, artifact.load(artifact.BUILTIN)
    draws = np.random.default_rng(0)
    width = 0 if loaded.manifest.features is None else loaded.manifest.features.width

    def read(texts: Sequence[str], _: int) -> Floats:
        return draws.normal(size=(len(texts), width)).astype(np.float32)

    head = make_head(config, loaded, read)
    began = time.perf_counter()
    if make_head(config, loaded, read, head) is not head:
        raise RuntimeError("made anew though nothing has changed")
    return time.perf_counter() - began


def _ports(port: int, admin: int) -> dict[str, Any]:
    return {"server": {"listen": [f"127.0.0.1:{port}"], "admin_listen": f"127.0.0.1:{admin}"}}


def written(options: dict[str, Any], *, described: bool, changed: bool = False) -> str:
    """Return the shipped config with these options, and with the described categories beside its own."""
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["pointsman"] = options
    if described:
        fleets = [json.loads(path.read_text()) for path in sorted(FLEETS.glob("*.json"))]
        adapters = [one for fleet in fleets for one in fleet["adapters"]][:ADAPTERS]
        base = next(iter(config["model_config"].values()))
        for number, one in enumerate(adapters):
            name, examples = f"{one['name']}-{number}", one["prompts"][:EXAMPLES]
            if changed and not number:
                examples[0] = "Something that nobody has asked before."
            base.setdefault("loras", []).append({"name": name})
            config["categories"].append(
                {
                    "name": name,
                    "description": one["description"],
                    "examples": examples,
                    "model_scores": [{"model": next(iter(config["model_config"])), "lora_name": name, "score": 1.0}],
                }
            )
    return yaml.safe_dump(config, sort_keys=False)


def _level(level: str) -> dict[str, Any]:
    return {"log": {"level": level}}


def _reloaded(admin: int, config: Path, text: str) -> float:
    """Return the seconds of a reload to another config."""
    config.write_text(text)
    began = time.perf_counter()
    request = urllib.request.Request(f"http://127.0.0.1:{admin}/reload", b"", method="POST")
    with urllib.request.urlopen(request, timeout=60) as response:
        outcome = json.load(response)
    if outcome["result"] != "applied":
        raise RuntimeError(f"not reloaded: {outcome}")
    return time.perf_counter() - began


def _asked(number: int) -> dict[str, Any]:
    text = f"Question {number}: " + "how does the compiler allocate registers? " * (1 + number % 4)
    return {"messages": [{"role": "user", "content": text}]}


class _RouteClient:
    """A client that asks for decisions about new texts, one after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._taken: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> _RouteClient:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def taken(self) -> list[float]:
        """Return the seconds of the answers since the last call."""
        found, self._taken = self._taken, []
        return found

    def _ask(self) -> None:
        number = 0
        while not self._over.wait(PAUSE_SECONDS):
            number += 1
            began = time.perf_counter()
            post(self._port, "/v1/route", _asked(1000 + number))
            self._taken.append(time.perf_counter() - began)


if __name__ == "__main__":
    main()
