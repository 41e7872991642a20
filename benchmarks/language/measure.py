"""Measure the gate, and its peers at the same rate of false alarms."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from target import quantile

from language.peers import PEERS
from language.texts import LanguageText
from pointsman.classify.language import DetectedLanguage, LanguageGate

FALSE_ALARMS = 0.001
"""Share of users' prompts that each peer may stop: its threshold follows from it."""
SAMPLE = 4000
"""Users' prompts for the peers; lingua takes 4 ms for one."""
REPEATS = 20


def by_language(gate: LanguageGate, texts: Sequence[LanguageText]) -> dict[str, dict[str, Any]]:
    """Return for each language how many asks of each half are stopped, and how good the name of the language is."""
    verdicts = [(text, gate.judge(text.text)) for text in texts]
    named = Counter(verdict.language for _, verdict in verdicts)
    found: dict[str, dict[str, Any]] = {}
    for language in dict.fromkeys(text.language for text in texts):
        own = [(text, verdict) for text, verdict in verdicts if text.language == language]
        code = {"nb": "no"}.get(language, language)
        right = sum(verdict.language == code for _, verdict in own)
        found[language] = {
            "tuned": stopped((text, verdict) for text, verdict in own if not text.held_out),
            "held_out": stopped((text, verdict) for text, verdict in own if text.held_out),
            "named": right,
            "precision": round(right / named[code], 3) if named[code] else None,
        }
    return found


def by_kind(gate: LanguageGate, texts: Sequence[LanguageText]) -> dict[str, dict[str, Any]]:
    """Return for each kind how many texts of each half are stopped."""
    return {
        kind: {
            half: stopped((t, gate.judge(t.text)) for t in texts if t.kind == kind and t.held_out is held_out)
            for half, held_out in (("tuned", False), ("held_out", True))
        }
        for kind in dict.fromkeys(text.kind for text in texts)
    }


def stopped(verdicts: Any) -> list[int]:
    """Return the number of texts stopped and of all."""
    found = [not verdict.supported for _, verdict in verdicts]
    return [sum(found), len(found)]


def declared(texts: Sequence[LanguageText]) -> dict[str, list[int]]:
    """Return for each language how many of its asks are stopped where an artifact declares it alone."""
    found = {}
    for language in dict.fromkeys(text.language for text in texts):
        gate = LanguageGate([language])
        found[language] = stopped((text, gate.judge(text.text)) for text in texts if text.language == language)
    return found


def false_alarms(
    judge: Callable[[str], DetectedLanguage], prompts: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return for each file of prompts how many are stopped, by language."""
    found = {}
    for name, texts in prompts.items():
        languages = Counter(verdict.language for verdict in map(judge, texts) if not verdict.supported)
        found[name] = {"prompts": len(texts), "stopped": languages.total(), "languages": dict(languages.most_common())}
    return found


def catalogues(gate: LanguageGate, messages: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return how many messages in other languages there are, how many are stopped, and how many pass for English."""
    languages: set[str] = set()
    verdicts: Counter[tuple[bool, bool]] = Counter()
    for language, text in messages:
        verdict = gate.judge(text)
        languages.add(language)
        verdicts[verdict.supported, verdict.language == "en"] += 1
    return {
        "messages": verdicts.total(),
        "languages": len(languages),
        "stopped": verdicts[False, False],
        "english": verdicts[True, True],
    }


def cost(judge: Callable[[str], DetectedLanguage], texts: Sequence[str]) -> dict[str, float]:
    """Return microseconds of a text, of each the best of some repeats: what the gate takes, not what interrupts it."""
    return _spread([min(_seconds(judge, text) for _ in range(REPEATS)) for text in texts])


def cost_after(
    run: Callable[[], object], judge: Callable[[str], DetectedLanguage], texts: Sequence[str]
) -> dict[str, float]:
    """Return microseconds of a text, of each once after a run of the graph, which takes the CPU's caches."""
    taken = []
    for text in texts:
        run()
        taken.append(_seconds(judge, text))
    return _spread(taken)


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    taken = [value * 1e6 for value in seconds]
    return {
        "texts": len(taken),
        **{f"p{share * 100:g}_us": round(quantile(taken, share), 1) for share in (0.5, 0.99)},
        "max_us": round(max(taken), 1),
    }


def _seconds(judge: Callable[[str], DetectedLanguage], text: str) -> float:
    started = time.perf_counter()
    judge(text)
    return time.perf_counter() - started


def peers(prompts: Sequence[str], texts: Sequence[LanguageText]) -> dict[str, dict[str, Any]]:
    """Return for each installed peer what it catches where it stops FALSE_ALARMS of the prompts."""
    sample = random.Random(1).sample(list(prompts), min(SAMPLE, len(prompts)))
    found: dict[str, dict[str, Any]] = {}
    for name, make in PEERS.items():
        try:
            score = make()
        except ImportError as error:
            found[name] = {"missing": str(error)}
            continue
        started = time.process_time()
        threshold = quantile([score(text[:1000]) for text in sample], 1 - FALSE_ALARMS)
        seconds = time.process_time() - started
        caught: dict[str, list[bool]] = {}
        for text in texts:
            caught.setdefault(text.language, []).append(score(text.text) > threshold)
        recalls = {language: sum(hits) / len(hits) for language, hits in caught.items()}
        worst = min(recalls, key=recalls.__getitem__)
        found[name] = {
            "caught": round(sum(map(sum, caught.values())) / len(texts), 3),
            "worst": [worst, round(recalls[worst], 3)],
            "cpu_us": round(seconds / len(sample) * 1e6, 1),
        }
        print(name, found[name], flush=True)
    return found
