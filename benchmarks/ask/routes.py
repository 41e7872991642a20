"""Route requests by the built-in classifier, without a server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from msgspec.structs import replace

from ask.unhurried import LATE
from pointsman.adapters.catalog import ServedModels
from pointsman.app.prepare import prepare
from pointsman.classify import artifact
from pointsman.config.model import Config
from pointsman.formats import ROUTED
from pointsman.routing.ask import AskFinder
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router

CONFIG = Path(__file__).parents[2] / "config" / "config.yaml"
BY_NAME = {form.path.rsplit("/", 1)[1] if form.path != "/v1/chat/completions" else "chat": form for form in ROUTED}
PATIENT = "\npointsman:\n  classifier:\n    deadline_ms: 60000\n"


class SampleRouter:
    """The router of the sample config, which waits for its classifier: the names of models that requests get."""

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(CONFIG.read_text() + PATIENT)
            file.flush()
            prepared = prepare(Path(file.name))
        self._router = Router(prepared.config, prepared.classifier, ServedModels)
        self.default = prepared.config.default_model
        self.artifacts = hashes(prepared.config)

    async def model(
        self,
        body: bytes,
        form: str = "chat",
        finder: AskFinder | None = None,
        *,
        material: bool = True,
        line: bool = True,
    ) -> str:
        """Return the model for a request; `finder` replaces the router's.

        `material` may tell the subject, and the `line` that asks.
        """
        request = parse_request(BY_NAME[form], body, finder or self._router.finder)
        if not material:
            request = replace(request, ask=replace(request.ask, about=""))
        if not line:
            request = replace(request, ask=replace(request.ask, line=""))
        while True:
            decision = (await self._router.route(request, remember=False)).decision
            if decision.reason not in LATE:
                return decision.model


def hashes(config: Config) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of each file of the artifact that decides, by its name."""
    name = config.classifier.category_model.model_id
    return {name: artifact.read_manifest(artifact.resolve(name, CONFIG.parent)).files}


def bare(ask: str) -> bytes:
    """Return the request of a person without a client around them."""
    return json.dumps({"model": "MoM", "messages": [{"role": "user", "content": ask}]}).encode()
