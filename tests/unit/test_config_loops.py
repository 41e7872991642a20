"""An endpoint that is one of our own listeners is refused: a request to it would come back without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.app.prepare import prepare
from pointsman.config.loops import own_listener
from pointsman.config.model import Endpoint
from pointsman.errors import CannotStart
from support.config_files import MINIMAL, problems, the_problem, write

LOOPS = [
    ("127.0.0.1", 8080, "127.0.0.1:8080"),
    ("localhost", 8080, "127.0.0.1:8080"),
    ("LocalHost.", 8080, "[::1]:8080"),
    ("gpu.localhost", 8080, "127.0.0.1:8080"),
    ("127.0.0.1", 8080, "localhost:8080"),
    ("127.0.0.1", 8080, "0.0.0.0:8080"),
    ("127.1.2.3", 8080, "0.0.0.0:8080"),
    ("localhost", 8080, "0.0.0.0:8080"),
    ("0.0.0.0", 8080, "127.0.0.1:8080"),  # noqa: S104
    ("0.0.0.0", 8080, "0.0.0.0:8080"),  # noqa: S104
    ("::1", 8080, "[::]:8080"),
    ("[::]", 8080, "[::1]:8080"),
    ("0:0:0:0:0:0:0:1", 8080, "[::1]:8080"),
    ("::ffff:127.0.0.1", 8080, "127.0.0.1:8080"),
    ("127.0.0.1", 8080, "[::]:8080"),
    ("10.0.0.5", 8080, "10.0.0.5:8080"),
    ("GPU-1", 8080, "gpu-1:8080"),
    ("http://127.0.0.1:8080/v1", None, "127.0.0.1:8080"),
    ("http://localhost", None, "127.0.0.1:80"),
    ("https://localhost", None, "127.0.0.1:443"),
    ("unix:/run/a.sock", None, "unix:/run/a.sock"),
    ("unix:/run//b/../a.sock", None, "unix:/run/a.sock"),
]
NONE = [
    ("127.0.0.1", 8000, "127.0.0.1:8080"),
    ("127.0.0.2", 8080, "127.0.0.1:8080"),
    ("::1", 8080, "127.0.0.1:8080"),
    ("::1", 8080, "0.0.0.0:8080"),
    ("10.0.0.5", 8080, "127.0.0.1:8080"),
    ("10.0.0.5", 8080, "0.0.0.0:8080"),  # of another host, as far as a config tells
    ("gpu-1", 8080, "0.0.0.0:8080"),
    ("127.0.0.1", 8080, "127.0.0.1:0"),
    ("http://localhost", None, "127.0.0.1:8080"),
    ("unix:/run/a.sock", None, "unix:/run/b.sock"),
    ("unix:/run/a.sock", None, "127.0.0.1:80"),
    ("localhost", 80, "unix:/run/a.sock"),
]


@pytest.mark.parametrize(("address", "port", "listener"), LOOPS)
def test_an_endpoint_that_leads_to_us_is_found(address: str, port: int | None, listener: str) -> None:
    endpoint = Endpoint(name="a", address=address, port=port)

    assert own_listener(endpoint, ("unix:/other", listener)) == listener


@pytest.mark.parametrize(("address", "port", "listener"), NONE)
def test_any_other_endpoint_is_none_of_us(address: str, port: int | None, listener: str) -> None:
    assert own_listener(Endpoint(name="a", address=address, port=port), [listener]) is None


@pytest.mark.parametrize(
    ("server", "port"),
    [("listen: ['0.0.0.0:8000']", 8000), ("admin_listen: localhost:8000", 8000), ("max_connections: 9", 8080)],
    ids=["listen", "admin_listen", "default"],
)
def test_a_config_with_a_loop_does_not_load(server: str, port: int, tmp_path: Path) -> None:
    problem = the_problem(tmp_path, MINIMAL.replace("8000", str(port)) + f"pointsman: {{server: {{{server}}}}}\n")

    assert (problem.path, problem.line) == ("vllm_endpoints[0].address", 3)
    assert "requests would loop endlessly" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "pointsman: {server: {listen: [nonsense]}}\n",
        MINIMAL + "pointsman: {server: {listen: 7}}\n",
        MINIMAL.replace("port: 8000", "port: many"),
    ],
)
def test_addresses_that_are_at_fault_themselves_are_not_judged(text: str, tmp_path: Path) -> None:
    assert all("loop endlessly" not in problem.message for problem in problems(tmp_path, text))


def test_the_vllm_of_the_command_line_is_judged_too(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"itself listens at 127\.0\.0\.1:8080"):
        prepare(write(tmp_path, MINIMAL), vllm="http://localhost:8080")
