"""`promote` of a canary or a classifier asks a person first, with the numbers, and never a script."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from pointsman.cli.classifier import worth
from pointsman.cli.main import main
from support.config_files import MINIMAL

CANARY: dict[str, Any] = {"category": "law", "adapter": "law-v2", "percent": 20, "state": "trial", "by": None}
CANARY |= {"why": None, "conversations": {"canary": 53, "stable": 212}}
SIDE: dict[str, Any] = {"conversations": 53, "failed": {"value": 1 / 53, "low": 0.003, "high": 0.099}}
SIDE |= {"first_byte_ms": {"value": 210.4, "low": 200, "high": 220}, "good": 44, "bad": 9}
EMPTY: dict[str, Any] = {"conversations": 0, "failed": None, "first_byte_ms": None, "good": 0, "bad": 0}
EXPERIMENT = {
    "kind": "canary",
    "category": "law",
    "sides": [SIDE | {"name": "canary"}, EMPTY | {"name": "stable"}],
    "verdicts": [],
}
ARTIFACTS = [
    {"name": "fit-2", "path": "/a/fit-2", "source": "fit", "labelled": 53, "right_before": 44, "right_after": 44},
    {"name": "fit-1", "path": "/a/fit-1", "source": "fit", "labelled": 40, "right_before": 9, "right_after": 33},
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Service:
    config: Path
    verdicts: list[str] = field(default_factory=list)
    changed: list[Any] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.changed.append((request.path, await request.json()))
        if request.path.startswith("/classifier"):
            return web.json_response({"in_use": "builtin", "promoted": None, "artifacts": ARTIFACTS})
        if request.path == "/experiments":
            other = EXPERIMENT | {"kind": "share", "sides": [EMPTY | {"name": "routed"}, EMPTY | {"name": "holdback"}]}
            return web.json_response({"experiments": [other, EXPERIMENT | {"verdicts": self.verdicts}]})
        return web.json_response({"canaries": [CANARY]})

    async def run(self, *arguments: str) -> int:
        return await asyncio.to_thread(main, [*arguments, "--config", str(self.config)])


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    path = tmp_path / "config.yaml"
    path.write_text(f"{MINIMAL}pointsman: {{server: {{admin_listen: 'unix:{tmp_path}/admin.sock'}}}}\n")
    found = Service(path)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "admin.sock")).start()
    yield found
    await runner.cleanup()


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> Terminal:
    """A person at a terminal, who types a text; what the terminal shows of stderr."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


async def test_a_person_sees_both_sides_and_the_verdict_and_is_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = types(monkeypatch, "y\n")
    assert await service.run("canary", "promote", "law") == 0
    assert shown.getvalue().splitlines() == [
        "law: law-v2 gets 20 % of the conversations; counted: 53 canary, 212 stable",
        "  canary: 53 conversations, 1.9% failed (0.3% to 9.9%), first byte 210 ms, feedback 44 good, 9 bad",
        "  stable: 0 conversations",
        "  verdict: not enough yet, no difference is certain",
        "Give law-v2 all of the conversations of law? [y/N] ",
    ]
    assert service.changed == [("/canaries/promote", {"category": "law"})]


async def test_what_is_certain_is_said(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.verdicts = ["canary fails less often than stable", "canary is scored higher than stable"]
    shown = types(monkeypatch, "YES\n")
    assert await service.run("canary", "promote", "law") == 0
    assert "verdict: canary fails less often than stable; canary is scored higher than stable\n" in shown.getvalue()


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "yup\n"])
@pytest.mark.parametrize("command", [("canary", "promote", "law"), ("classifier", "promote")])
async def test_without_a_yes_nothing_is_changed(
    service: Service, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], typed: str
) -> None:
    shown = types(monkeypatch, typed)
    assert await service.run(*command) == 1
    assert shown.getvalue().endswith("pointsman: nothing was changed\n")
    assert service.changed == []


@pytest.mark.parametrize("command", [("canary", "promote", "law"), ("classifier", "promote", "fit-1")])
@pytest.mark.parametrize("how", ["--yes", "no terminal to type at", "no terminal to show it on", "no stdin"])
async def test_a_script_is_not_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], how: str
) -> None:
    types(monkeypatch, "n\n")
    if how == "no terminal to type at":
        monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    elif how == "no terminal to show it on":
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    elif how == "no stdin":
        monkeypatch.setattr(sys, "stdin", None)
    assert await service.run(*command, *([how] if how == "--yes" else [])) == 0
    assert len(service.changed) == 1


@pytest.mark.parametrize("command", [("canary", "rollback", "law"), ("canary", "restart", "law"), ("classifier",)])
async def test_no_other_command_asks(
    service: Service, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    shown = types(monkeypatch, "n\n")
    assert await service.run(*command) == 0
    assert shown.getvalue() == ""


async def test_what_does_not_exist_is_the_services_to_refuse(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = types(monkeypatch, "n\n")
    assert await service.run("canary", "promote", "tax") == 0
    assert shown.getvalue() == ""
    assert service.changed == [("/canaries/promote", {"category": "tax"})]


@pytest.mark.parametrize(
    ("given", "named", "said"),
    [
        ((), "fit-2", "of 53 labeled texts 44 right before and 44 after: the labels say nothing for it"),
        (("fit-1",), "fit-1", "of 40 labeled texts 9 right before and 33 after: 24 more"),
        (("/a/fit-1",), "fit-1", "of 40 labeled texts 9 right before and 33 after: 24 more"),
        (("/a/other",), "/a/other", "nothing is known of it by labels"),
    ],
    ids=["the newest", "by name", "by path", "another"],
)
async def test_of_a_classifier_a_person_sees_what_the_labels_say(
    service: Service, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], named: str, said: str
) -> None:
    shown = types(monkeypatch, "y\n")
    assert await service.run("classifier", "promote", *given) == 0
    assert shown.getvalue().splitlines() == ["in use: builtin", said, f"Let {named} read all requests? [y/N] "]
    assert service.changed == [("/classifier/promote", {"artifact": given[0]} if given else {})]


@pytest.mark.parametrize(
    ("after", "said"),
    [(44, "say nothing"), (45, "1 more, which may be chance"), (49, "may be chance"), (50, "6 more"), (43, "1 fewer")],
)
def test_a_difference_that_may_be_chance_is_called_so(after: int, said: str) -> None:
    """The chance that of five texts that differ all get better by chance is 1 in 16, of six 1 in 32."""
    found = worth({"labelled": 53, "right_before": 44, "right_after": after})
    assert found.endswith(said) or said in found
    assert ("chance" in found) is (after - 44 in range(1, 6))
