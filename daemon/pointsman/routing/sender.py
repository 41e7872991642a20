"""The sender of a request, and what else is known of the request besides its body."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.config.model import Endpoint
from pointsman.routing.conversation_keys import ANYBODY, Caller
from pointsman.routing.conversations import ConversationState
from pointsman.routing.rules import NO_ORIGIN, RequestOrigin


class Continuation(NamedTuple):
    """The stored response that a request continues: the only endpoint that has it, and what is remembered of it."""

    at: Endpoint | None = None
    remembered: ConversationState | None = None


NEW_RESPONSE = Continuation()


class Sender(msgspec.Struct, frozen=True, gc=False):
    """The sender of a request, its key, if any, and what the request continues.

    A key may have aliases of its own, and its scope limits the models to choose from; a model that the client names is
    not checked. Other clients' texts reveal nothing to it. `origin` is read if there are rules.
    """

    caller: Caller = ANYBODY
    key: ClientKey | None = None
    origin: RequestOrigin = NO_ORIGIN
    continues: Continuation = NEW_RESPONSE

    @property
    def scope(self) -> KeyScope | None:
        """Return the models that the client may use, or None for all."""
        return None if self.key is None else self.key.scope


UNKNOWN_SENDER = Sender()
