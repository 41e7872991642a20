"""How many connections clients may have where the process may open only so many files."""

from __future__ import annotations

import pytest

from pointsman.app.descriptors import client_connections
from pointsman.config.model import ServerOptions
from pointsman.errors import CannotStart


@pytest.mark.parametrize(
    ("files", "connections", "in_flight", "found"),
    [
        pytest.param(65_536, 2048, 1024, 2048, id="there are enough"),
        pytest.param(3_200, 2048, 1024, 2048, id="just enough"),
        pytest.param(3_199, 2048, 1024, 2047, id="one too few"),
        pytest.param(1_024, 2048, 1024, 448, id="half of them, as each request needs two"),
        pytest.param(430, 2048, 1024, 151, id="fewer"),
        pytest.param(430, 200, 100, 200, id="as configured"),
        pytest.param(430, 300, 100, 202, id="few requests leave more to connections"),
        pytest.param(160, 2048, 1024, 16, id="the fewest"),
        pytest.param(130, 1, 1, 1, id="no more are wanted"),
    ],
)
def test_clients_get_what_is_left_when_every_request_has_a_connection_to_vllm(
    files: int, connections: int, in_flight: int, found: int
) -> None:
    assert client_connections(ServerOptions(max_connections=connections, max_in_flight=in_flight), files) == found


def test_with_fewer_than_sixteen_it_does_not_start() -> None:
    with pytest.raises(CannotStart, match="LimitNOFILE"):
        client_connections(ServerOptions(), 159)
