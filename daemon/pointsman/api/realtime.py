"""Check whether a client may open a websocket: its models and tokens cannot be read on the way."""

from __future__ import annotations

from pointsman.api.auth import check_model
from pointsman.config.cors import CorsOptions
from pointsman.errors import UpgradeRequired, UsageUnknown
from pointsman.proxy.exchange import Exchange
from pointsman.server.cors import check_origin


def check_offer(exchange: Exchange, cors: CorsOptions) -> None:
    """Raise UpgradeRequired (426), or a 403: for a page of a foreign origin, or a key with limited models or tokens."""
    if not exchange.request.offers_websocket:
        raise UpgradeRequired
    check_origin(cors, exchange.request.head)
    check_model(exchange.key, None)
    if exchange.lease is not None and exchange.lease.counts_tokens:
        raise UsageUnknown("your key has a limit of tokens, and those of a websocket are not known")
