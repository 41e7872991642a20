"""The parts of one config that the handlers of the data port call."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from pointsman.adapters.poller import Poller
from pointsman.config.client_keys import ClientKeys
from pointsman.config.model import Config
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.feedback_file import FeedbackFile
from pointsman.observability.record import Record
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.routing.router import RoutedRequest, Router
from pointsman.server.request import Request
from pointsman.server.response import Response


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """The parts of one config that handlers call; `started` is the process's start in seconds since the epoch.

    `keys` are the clients', None if they need none; `feedback` is None if none is accepted.
    """

    config: Config
    router: Router
    poller: Poller
    forwarder: Forwarder
    texts: TextsFile | None
    started: float
    keys: ClientKeys | None = None
    feedback: FeedbackFile | None = None
    compare: Callable[[RoutedRequest, Record], None] | None = None
    """Called with each routed request once it was sent, to compare a second classifier with the first."""


Begin = Callable[[Request, str], tuple[Backend, Exchange]]
"""A callback that begins an exchange for a route's path, and returns it with the backend that serves it."""

Work = Callable[[Backend, Exchange], Coroutine[None, None, Response | None]]
"""A handler that returns the response, or None if vLLM's response follows.

It runs in no task until it awaits `continue_in_task`. It reads the body before it waits for anything
else, as the request does not count as in flight until then.
"""
