"""Describe the running service for an operator, for `GET /status`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from pointsman import __version__
from pointsman.adapters.inventory import inventory
from pointsman.app.generation import Generation
from pointsman.app.generations import Generations
from pointsman.app.reload import Reloader
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config
from pointsman.routing.threshold_errors import ThresholdErrors, both_errors
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route


def status_route(generations: Generations, reloader: Reloader, ready: Callable[[], str | None]) -> Route:
    """Return the route `GET /status`, which sends no requests and changes nothing."""

    async def answer(_: Request) -> Response:
        current, metrics = generations.current, generations.metrics
        return json_response(
            {
                "version": __version__,
                "trouble": ready(),
                "started": int(current.backend.started),
                "uptime_s": int(time.time() - current.backend.started),
                "config": {
                    "generation": reloader.generation,
                    "loaded": int(reloader.loaded),
                    "reload_failed": reloader.failure,
                    "rolled_back": msgspec.to_builtins(reloader.serving.rolled_back),
                },
                "in_flight": metrics.in_flight,
                "held": metrics.waiting,
                "models": _models(current.config),
                "endpoints": _endpoints(current),
                "classifier": _classifier(current.classifier),
                "shadow": None if current.shadow is None else current.shadow.report(),
                "routing": _routing(generations),
                "thresholds": _thresholds(current),
                "traffic": metrics.recent.summary(),
                "unwell": generations.models.report(),
            }
        )

    return Route("GET", "/status", answer)


def _routing(generations: Generations) -> dict[str, Any]:
    """Return the mode in force and that of each category with its own, the config's mode, and the next change.

    `until` is None if the mode has no end.
    """
    current, overlay = generations.current, generations.overlay
    routing = current.backend.router.routing
    configured = current.config.pointsman.routing.mode
    return {
        "mode": routing.mode,
        "percent": routing.percent,
        "configured": configured,
        "overridden": overlay.mode_now is not None,
        "until": None if overlay.timed is None else round(overlay.timed.until),
        "then": None if overlay.timed is None else overlay.mode or configured,
        "categories": [
            {"category": name, "mode": one.mode, "percent": one.percent}
            for name, one in routing.categories.items()
            if one.mode is not None
        ],
    }


def _thresholds(current: Generation) -> list[dict[str, Any]]:
    """Return both errors of each category."""
    policy = current.backend.router.policy
    found = both_errors(policy.thresholds, policy.at_precision)
    return [
        {"category": one.category} | _errors(one.in_use) | {"at_precision": _errors(one.at_precision)} for one in found
    ]


def _errors(found: ThresholdErrors) -> dict[str, Any]:
    return found._asdict() | {"reach": found.reach._asdict(), "precision": found.precision._asdict()}


def _models(config: Config) -> list[dict[str, str]]:
    """Return the base models with their adapters, in the config's order, by which the page gives them colors."""
    return [
        {"name": name, "base": base}
        for base, model in config.model_config.items()
        for name in (base, *(lora.name for lora in model.loras))
    ]


def _endpoints(current: Generation) -> list[dict[str, Any]]:
    now = asyncio.get_running_loop().time()
    found = []
    for adapter in inventory(current.config, current.poller, now):
        state = current.balancer.all[adapter["endpoint"]]
        found.append(
            adapter
            | {
                "up": state.healthy(now),
                "reachable": state.reachable,
                "key_accepted": state.key_accepted,
                "breaker": "open" if state.breaker.opened else "closed",
                "in_flight": state.in_flight,
            }
        )
    return found


def _classifier(classifier: Classifier) -> dict[str, Any]:
    """Return the artifact, the settings, and the counts since it was loaded."""
    encoder = classifier.encoder
    lookups = encoder.lookups
    return {
        "precision": classifier.artifact.manifest.precision,
        "healthy": encoder.healthy,
        **classifier.settings(),
        "queued": encoder.queued,
        "cache": {"hits": lookups.hits, "misses": lookups.misses, "coalesced": lookups.coalesced},
    }
