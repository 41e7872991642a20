"""The parts behind the listeners that belong to one config."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.api.backend import Backend
from pointsman.app.shadow import ShadowClassifier
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config
from pointsman.config.tls import Certificate
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.feedback_file import FeedbackFile
from pointsman.proxy.admission import Admission
from pointsman.proxy.recorder import Recorder
from pointsman.proxy.timeouts import Timeouts
from pointsman.server.limits import ConnectionLimits
from pointsman.upstream.load_balancer import LoadBalancer


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """The parts that serve one config; a request stays with the generation it began with."""

    config: Config
    limits: ConnectionLimits
    backend: Backend
    admission: Admission
    recorder: Recorder
    poller: Poller
    loader: Loader
    balancer: LoadBalancer
    timeouts: Timeouts
    key_line: bytes
    admin_token: bytes | None
    certificate: Certificate | None
    admin_certificate: Certificate | None
    shadow: ShadowClassifier | None

    @property
    def classifier(self) -> Classifier:
        return self.backend.router.classifier

    @property
    def texts(self) -> TextsFile | None:
        return self.backend.texts

    @property
    def feedback(self) -> FeedbackFile | None:
        return self.backend.feedback

    def status(self) -> str:
        """Return one line for an operator: health, adapters and load."""
        now, endpoints = asyncio.get_running_loop().time(), self.balancer.all.values()
        up = [one for one in endpoints if one.name in self.poller.served.cards and one.healthy(now)]
        adapters = [card for card in self.poller.served.models().values() if card.parent is not None]
        in_flight = self.recorder.metrics.in_flight
        return f"{len(up)} of {len(endpoints)} vLLM up; {len(adapters)} adapters; {in_flight} in flight"
