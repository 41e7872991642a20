"""Check whether an endpoint accepts the service's key: the model list needs the key, `/health` does not."""

from __future__ import annotations

from pointsman.errors import KeyRefused
from pointsman.upstream import client
from pointsman.upstream.load_balancer import LoadBalancer


async def checked_models(balancer: LoadBalancer, endpoint: str, key_line: bytes, *, clients_keys: bool) -> bytes:
    """Return the body of an endpoint's `/v1/models`, and tell `balancer` whether the key was accepted.

    Raises UpstreamError. If requests have their clients' keys (`clients_keys`), a refusal of this one says nothing.
    """
    upstream = balancer.all[endpoint]
    try:
        body = await client.models(upstream, key_line)
    except KeyRefused:
        if clients_keys:
            balancer.key_accepted(upstream)
        else:
            balancer.key_refused(upstream)
        raise
    balancer.key_accepted(upstream)
    return body
