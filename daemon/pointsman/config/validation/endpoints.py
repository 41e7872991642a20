"""Check the endpoints: their names, addresses and weights, and that none is this service itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pointsman.config import address
from pointsman.config.loops import own_listener
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `vllm_endpoints`."""
    yield from _addresses(subject)
    yield from _weights(subject)
    yield from _loops(subject)


def _addresses(subject: ValidatedConfig) -> Iterator[Problem]:
    endpoints = subject.config.vllm_endpoints
    if not endpoints and subject.source_map.known("vllm_endpoints"):
        fix = "add one with name, address and port"
        yield subject.problem("vllm_endpoints", message="no endpoint is given", fix=fix)
    yield from subject.names([(("vllm_endpoints", i, "name"), x.name) for i, x in enumerate(endpoints)])
    for i, endpoint in enumerate(endpoints):
        if not all(subject.source_map.known("vllm_endpoints", i, key) for key in ("address", "port")):
            continue
        try:
            address.check_endpoint(endpoint.address, endpoint.port)
        except ValueError as error:
            shown = "an address with credentials" if "@" in endpoint.address else f'"{endpoint.address}"'
            port = "" if endpoint.port is None else f" and port {endpoint.port}"
            message = f"expected an IP, a host name, a URL or unix:/path, found {shown}{port}"
            yield subject.problem("vllm_endpoints", i, "address", message=message, fix=str(error))


def _weights(subject: ValidatedConfig) -> Iterator[Problem]:
    config = subject.config
    if config.vllm_endpoints and not any(endpoint.weight for endpoint in config.vllm_endpoints):
        message, fix = "every endpoint has the weight 0, so none gets traffic", "give one a weight above 0"
        yield subject.problem("vllm_endpoints", 0, "weight", message=message, fix=fix)
        return
    for base in config.model_config:
        mine = config.endpoints_of(base)
        if mine and not any(endpoint.weight for endpoint in mine):
            message = f"every endpoint of {base} has the weight 0, so none gets its traffic"
            fix = "give one a weight above 0, or prefer another endpoint"
            yield subject.problem("model_config", base, "preferred_endpoints", message=message, fix=fix)


def _loops(subject: ValidatedConfig) -> Iterator[Problem]:
    """Check for endpoints that are our own listeners, among valid addresses only."""
    server, known = subject.config.pointsman.server, subject.source_map.known
    if not all(known("pointsman", "server", key) for key in ("listen", "admin_listen", "status_listen")):
        return
    for i, endpoint in enumerate(subject.config.vllm_endpoints):
        if not all(known("vllm_endpoints", i, key) for key in ("address", "port")):
            continue
        with contextlib.suppress(ValueError):
            address.check_endpoint(endpoint.address, endpoint.port)
            found = own_listener(endpoint, server.addresses)
            if found is not None:
                message = f"this service itself listens there ({found}): requests would loop endlessly"
                fix = "write vLLM's own address, or change pointsman.server.listen, admin_listen or status_listen"
                yield subject.problem("vllm_endpoints", i, "address", message=message, fix=fix)
