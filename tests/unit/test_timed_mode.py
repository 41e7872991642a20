"""A mode that ends by itself: never later than stated, whatever becomes of the clock or the process."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pointsman import daemon_thread, files
from pointsman.api.mode import overlay_routes
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayStore
from pointsman.app.prepare import PreparedConfig
from pointsman.app.status import _routing
from pointsman.cli import mode as command
from pointsman.cli import shares
from pointsman.cli.main import main
from pointsman.cli.mode import render
from pointsman.cli.since import lasting
from pointsman.config import overlay
from pointsman.config.load import load
from pointsman.config.overlay import Boot, CanaryOutcome, Overlay, TimedMode, with_canary
from pointsman.observability.log import Log
from support.config_files import MINIMAL, plain, write
from support.log import Memory
from support.playbook import CLASSIFIER
from support.toy_config import QUIET, config
from support.virtual_loop import VirtualLoop

HOUR = 3600
NOON = 1_800_000_000.0
GAUGE = "pointsman_routing_mode_until_timestamp_seconds"


@dataclass
class Host:
    """A host with a clock that is set at will, on which the service is started again and again."""

    loop: VirtualLoop
    folder: Path
    set_by: float = 0.0
    """By how much somebody has changed the time of day."""
    boot: str | None = "first"
    """The id of the host's start, None where the kernel does not tell."""
    asleep: float = 0.0
    """For how long the host has slept, while which the event loop's clock stands still."""
    generations: Generations = field(init=False)
    store: OverlayStore = field(init=False)
    log: Memory = field(init=False)

    def __post_init__(self) -> None:
        self._began = self._booted = self.loop.time()
        self.start()

    def now(self) -> float:
        return NOON + self.loop.time() - self._began + self.asleep + self.set_by

    def up(self) -> Boot | None:
        return None if self.boot is None else Boot(self.boot, self.loop.time() - self._booted + self.asleep)

    def boots(self, name: str) -> None:
        """The host has started again, and the service not yet."""
        self.boot, self._booted = name, self.loop.time()

    def start(self) -> None:
        routing = replace(QUIET.routing, mode="percent", percent=5.0)
        served = replace(config(), pointsman=replace(QUIET, routing=routing))
        self.log = Memory()
        log = Log("info", self.log)
        self.generations = self.loop.do(lambda: Generations(PreparedConfig(served, CLASSIFIER, b"", ()), log))
        self.store = self.loop.do(lambda: OverlayStore(self.folder, self.generations, self.now, self.up))
        self.loop.do(lambda: self.generations.supervisor.start("mode", self.store.watch))

    def stop(self) -> None:
        self.loop.run_until_complete(self.generations.close())

    def restart(self, after: float = 0.0) -> None:
        self.stop()
        self.loop.advance(after)
        self.start()

    def set_mode(self, mode: str, seconds: int | None = None) -> None:
        body = {"mode": mode} if seconds is None else {"mode": mode, "seconds": seconds}
        answer = self.post(json.dumps(body).encode())
        assert answer.status == 200, answer.body

    def post(self, body: bytes) -> Any:
        routes: Any = overlay_routes(self.store)
        return self.loop.run_until_complete(routes[1].handler(Asked(body)))

    def ends_in(self, seconds: float) -> None:
        """Routing is off for this long, to the second, and then as the config says."""
        self.loop.advance(seconds - 1)
        assert self.mode == "off"
        self.loop.advance(1)
        assert self.mode == "percent"

    @property
    def mode(self) -> str:
        """The mode by which the next request is routed."""
        return str(self.generations.current.backend.router.routing.mode)

    @property
    def gauge(self) -> dict[str, float]:
        registry = self.generations.metrics.registry
        (family,) = [one for one in registry.collect() if one.name == GAUGE]
        return {sample.labels["mode"]: sample.value for sample in family.samples}

    @property
    def files(self) -> list[str]:
        return sorted(one.name for one in self.folder.iterdir())

    def logged(self) -> list[dict[str, Any]]:
        self.generations.log.flush()
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == "overlay"]


class Asked:
    """A request with a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, _: float) -> bytes:
        return self._body


@pytest.fixture
def host(clock: VirtualLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    async def at_once(work: Callable[[], Any], *_: Any) -> Any:
        return work()

    monkeypatch.setattr(daemon_thread, "run", at_once)
    made = Host(clock, tmp_path)
    yield made
    made.stop()


# --- its end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["off", "shadow", "on"])
def test_afterwards_routing_is_as_it_was_before(host: Host, mode: str) -> None:
    """To the second, and also after a restart."""
    host.set_mode(mode, HOUR)
    host.loop.advance(HOUR - 1)
    assert host.mode == mode
    host.loop.advance(1)
    assert host.mode == "percent"
    assert host.generations.current.backend.router.routing.percent == 5.0
    assert host.files == ["overlay.json"]
    host.restart()
    assert host.mode == "percent"


def test_what_a_command_had_set_before_without_an_end_holds_again(host: Host) -> None:
    host.set_mode("shadow")
    host.set_mode("off", HOUR)
    assert host.mode == "off"
    host.loop.advance(HOUR)
    assert host.mode == "shadow"


@pytest.mark.parametrize(("mode", "then"), [("config", "percent"), ("shadow", "shadow")])
def test_a_command_without_an_end_takes_its_place(host: Host, mode: str, then: str) -> None:
    host.set_mode("off", HOUR)
    host.set_mode(mode)
    assert host.mode == then
    assert host.files == ["overlay.json"]
    host.loop.advance(2 * HOUR)
    assert host.mode == then


def test_another_with_an_end_takes_its_place_and_its_time(host: Host) -> None:
    """Longer or shorter; it does not come back after the other."""
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR / 2)
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR - 1)
    assert host.mode == "off"
    host.set_mode("shadow", 10)
    host.loop.advance(10)
    assert host.mode == "percent"


def test_the_end_is_logged_with_what_was_and_what_is(host: Host) -> None:
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR)
    set_, ended = host.logged()
    assert (set_["by"], ended["by"]) == ("mode", "end of the mode")
    assert set_["to"] == ended["from"] == {"timed": {"mode": "off", "until": NOON + HOUR, "seconds": HOUR}}
    assert ended["to"] == {}


def test_a_disk_that_hangs_holds_the_end_not_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.set_mode("off", HOUR)

    async def hangs(*_: Any) -> Any:
        await asyncio.sleep(5.0)
        raise TimeoutError

    monkeypatch.setattr(daemon_thread, "run", hangs)
    host.loop.advance(HOUR)
    assert host.mode == "percent"
    host.loop.advance(5)
    assert "cannot be written" in str(host.store.trouble)


def test_a_change_of_something_else_does_not_lengthen_it(host: Host) -> None:
    """Not even right after the clock was set back."""
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR - 5)
    host.set_by = -100.0
    decided = CanaryOutcome(adapter="x", state="promoted", by="command", at=7)
    host.loop.run_until_complete(host.store.change(lambda now: with_canary(now, "law", decided), "canary"))
    host.loop.advance(5)
    assert host.mode == "percent"
    assert host.store.current.canaries == {"law": decided}


# --- clocks and restarts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stopped", [0, HOUR / 4])
def test_it_survives_a_restart_by_the_time_of_day(host: Host, stopped: float) -> None:
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR / 2)
    host.restart(after=stopped)
    assert host.mode == "off"
    host.ends_in(HOUR / 2 - stopped)


def test_it_ends_while_the_service_is_stopped(host: Host) -> None:
    host.set_mode("off", HOUR)
    host.restart(after=HOUR)
    assert host.mode == "percent"
    host.loop.advance(0)
    assert host.files == ["overlay.json"]
    (line,) = host.logged()
    assert (line["by"], line["from"]["timed"]["mode"], line["to"]) == ("end of the mode", "off", {})


def test_a_clock_that_is_set_ahead_ends_it_within_a_second(host: Host) -> None:
    host.set_mode("off", HOUR)
    host.loop.advance(60)
    host.set_by = float(HOUR)
    host.loop.advance(1)
    assert host.mode == "percent"


@pytest.mark.parametrize("back", [0.5, 2.0, HOUR / 2, 365 * 24 * HOUR])
@pytest.mark.parametrize("after", [60.0, HOUR - 1.0])
def test_a_clock_that_is_set_back_does_not_lengthen_it(host: Host, back: float, after: float) -> None:
    host.loop.advance(0.5)
    host.set_mode("off", HOUR)
    host.loop.advance(after)
    host.set_by = -back
    host.loop.advance(HOUR - after - 0.1)
    assert host.mode == "off"
    host.loop.advance(0.1)
    assert host.mode == "percent"


def test_after_a_clock_was_set_back_a_restart_goes_on_where_it_was(host: Host) -> None:
    """The file has the new time of day, and so have status and metrics."""
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR / 2)
    host.set_by = -10.0 * HOUR
    host.loop.advance(1)
    until = host.now() + HOUR / 2 - 1
    assert host.gauge["off"] == pytest.approx(until)
    assert host.logged()[-1]["by"] == "clock"
    host.restart()
    host.loop.advance(HOUR / 2 - 2)
    assert host.mode == "off"
    host.loop.advance(1)
    assert host.mode == "percent"


@pytest.mark.parametrize("back", [0.5, HOUR / 4, 1_000.0 * HOUR])
def test_set_back_while_stopped_it_ends_when_it_was_to(host: Host, back: float) -> None:
    """As long as the host is up: by the time since it started, which nobody sets."""
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR / 2)
    host.stop()
    host.set_by = -back
    host.start()
    assert host.gauge["off"] == pytest.approx(host.now() + HOUR / 2, abs=1.0)
    host.loop.advance(HOUR / 4)
    host.restart()
    host.ends_in(HOUR / 4)


def test_set_back_while_stopped_a_mode_whose_time_is_over_does_not_begin_again(host: Host) -> None:
    host.set_mode("off", HOUR)
    host.stop()
    host.loop.advance(HOUR)
    host.set_by = -10.0 * HOUR
    host.start()
    assert host.mode == "percent"


def test_after_a_start_of_the_host_the_time_since_that_counts(host: Host) -> None:
    """Nothing is logged of that, as nothing has changed."""
    host.set_mode("off", HOUR)
    host.stop()
    host.loop.advance(HOUR / 4)
    host.boots("second")
    host.start()
    host.loop.advance(HOUR / 4)
    assert host.logged() == []
    host.stop()
    host.set_by = -10.0 * HOUR
    host.start()
    host.ends_in(HOUR / 2)


def test_a_clock_that_is_set_back_by_what_the_host_slept_does_not_lengthen_it(host: Host) -> None:
    host.set_mode("off", HOUR)
    host.asleep, host.set_by = float(HOUR), -float(HOUR)
    host.loop.advance(1)
    assert host.mode == "percent"


def test_for_how_long_the_host_is_up_is_the_kernels_to_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = overlay.boot()
    assert found is not None
    assert found.id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found.seconds == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=60.0)
    monkeypatch.setattr(overlay, "BOOT_ID", tmp_path / "gone")
    assert overlay.boot() is None


@pytest.mark.parametrize("boot", ["second", None])
def test_set_back_before_another_start_of_the_host_it_lasts_for_what_was_stated_and_once(
    host: Host, boot: str | None
) -> None:
    host.set_mode("off", HOUR)
    host.loop.advance(HOUR / 4)
    host.stop()
    host.set_by = -1_000.0 * HOUR
    host.boot = boot
    host.start()
    host.loop.advance(HOUR / 2)
    host.restart()
    host.ends_in(HOUR / 2)


# --- the files -----------------------------------------------------------------------------------------------------


def test_a_former_release_reads_its_overlay_without_it(host: Host) -> None:
    """It refuses a field that it does not know, and then all that commands have set."""
    host.set_mode("shadow")
    host.set_mode("off", HOUR)
    fields = {"version", "mode", "canaries", "adapters", "config", "classifier", "former"}
    shown = json.loads((host.folder / "overlay.json").read_bytes())
    assert shown.keys() == fields
    assert shown["mode"] == "shadow"
    timed = host.folder / "timed_mode.json"
    shown = {"mode": "off", "until": NOON + HOUR, "seconds": HOUR}
    assert json.loads(timed.read_bytes()) == shown | {"boot_id": "first", "boot_until": HOUR}
    assert timed.stat().st_mode & 0o777 == 0o600


def test_a_field_of_a_later_release_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "timed_mode.json").write_text('{"mode": "off", "until": 200, "seconds": 60, "who": "ann"}')
    found, trouble = overlay.read(tmp_path, 150.0)
    assert trouble is None
    assert found.timed is not None
    assert (found.timed.mode, found.timed.until, found.timed.seconds) == ("off", 200.0, 60)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"mode": "never", "until": 200, "seconds": 60}',
        b'{"mode": "off", "until": "soon", "seconds": 60}',
        b'{"mode": "off", "until": NaN, "seconds": 60}',
        b'{"mode": "off", "until": 200, "seconds": 9}',
        b'{"mode": "off", "until": 200, "seconds": 2592001}',
        b"\xff",
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_the_overlay_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "timed_mode.json").write_bytes(content)
    (tmp_path / "overlay.json").write_text('{"version": 1, "mode": "shadow"}')
    found, trouble = overlay.read(tmp_path, 150.0)
    assert found == Overlay(mode="shadow")
    assert f"{tmp_path / 'timed_mode.json'} cannot be read" in str(trouble)


def test_without_a_state_directory_it_ends_all_the_same(host: Host, clock: VirtualLoop) -> None:
    host.folder = None  # type: ignore[assignment]
    host.restart()
    host.set_mode("off", HOUR)
    assert "restart forgets" in str(host.store.trouble)
    host.loop.advance(HOUR)
    assert host.mode == "percent"


def test_the_file_with_the_end_is_written_last(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash between the two, nothing holds for longer than was stated."""
    order: list[str] = []
    real = files.write

    def noted(path: Path, *arguments: Any, **options: Any) -> None:
        order.append(path.name)
        real(path, *arguments, **options)

    monkeypatch.setattr(files, "write", noted)
    host.set_mode("off", HOUR)
    assert order == ["overlay.json", "timed_mode.json"]


# --- what is told --------------------------------------------------------------------------------------------------


def test_status_metrics_and_the_overlay_say_until_when(host: Host) -> None:
    assert host.gauge == {}
    assert _routing(host.generations)["until"] is None
    host.set_mode("off")
    assert host.gauge == {"off": math.inf}
    shown = _routing(host.generations)
    assert (shown["overridden"], shown["until"], shown["then"]) == (True, None, None)
    host.set_mode("shadow", HOUR)
    assert host.gauge == {"shadow": NOON + HOUR}
    shown = _routing(host.generations)
    assert (shown["mode"], shown["overridden"], shown["until"], shown["then"]) == ("shadow", True, NOON + HOUR, "off")
    assert host.store.describe()["overlay"]["timed"]["until"] == NOON + HOUR
    host.set_mode("config")
    host.set_mode("off", HOUR)
    assert _routing(host.generations)["then"] == "percent"


def test_check_says_until_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOON)
    (tmp_path / "timed_mode.json").write_text(f'{{"mode": "off", "until": {NOON + 60}, "seconds": 60}}')
    loaded = load(write(tmp_path, MINIMAL))
    said = f"set by `pointsman mode`, in {tmp_path}: off until {overlay.moment(NOON + 60)}, then on"
    assert said in list(shares.lines(loaded, tmp_path))
    monkeypatch.setattr(time, "time", lambda: NOON + 60)
    assert list(shares.lines(loaded, tmp_path)) == []


def test_what_has_an_end_is_not_printed_for_the_config() -> None:
    """But said, so that nobody wonders."""
    found = Overlay(mode="shadow", timed=TimedMode(mode="off", until=NOON, seconds=60))
    text = overlay.as_yaml(found)
    assert plain(text) == {"pointsman": {"routing": {"mode": "shadow"}}}
    assert text.startswith(f"# not for good: mode off until {overlay.moment(NOON)}\n")


def test_a_command_shows_until_when_and_what_comes_then() -> None:
    shown: dict[str, Any] = {"mode": "off", "percent": None, "configured": "on", "overridden": True, "categories": []}
    ends = {"until": int(NOON), "then": "shadow"}
    assert render(shown | ends) == [f"ROUTING  off until {overlay.moment(NOON)} (by `pointsman mode`; then shadow)"]
    assert (
        render(shown | {"until": None}) == render(shown) == ["ROUTING  off (by `pointsman mode`; the config says on)"]
    )


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("90s", 90),
        ("15m", 900),
        ("1h", 3_600),
        ("2d", 172_800),
        ("30d", 2_592_000),
        ("2592000s", 2_592_000),
    ],
)
def test_a_time_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert lasting(text) == seconds


WRONG = ["", "1", "h", "9s", "0m", "31d", "2592001s", "-1h", "1.5h", "1 h", "1H", "1h30m", "٣h", "99999999999s", "1w"]


@pytest.mark.parametrize("text", WRONG)
def test_another_time_is_refused_with_what_to_write(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["mode", "off", f"--for={text}", "--config", str(write(tmp_path, MINIMAL))])
    assert caught.value.code == 2
    assert "10s to 30d, as `90s`, `15m`, `1h` or `2d`" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [(), ("config",)])
def test_a_time_is_of_a_mode(tmp_path: Path, mode: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["mode", *mode, "--for", "1h", "--config", str(write(tmp_path, MINIMAL))])
    assert caught.value.code == 2
    assert "--for is of off, shadow and on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "body",
    [
        b'{"mode": "off", "seconds": 9}',
        b'{"mode": "off", "seconds": 2592001}',
        b'{"mode": "off", "seconds": "1h"}',
        b'{"mode": "off", "seconds": 10.5}',
        b'{"mode": "config", "seconds": 60}',
        b'{"seconds": 60}',
    ],
)
def test_the_admin_port_refuses_another_time_and_changes_nothing(host: Host, body: bytes) -> None:
    answer = host.post(body)
    assert answer.status == 400
    assert "at least 10 and at most 2,592,000" in json.loads(answer.body)["error"]["message"]
    assert host.mode == "percent"
    assert host.files == []


def test_a_running_service_that_knows_no_end_is_not_asked_to_set_a_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A former release would ignore the time, and stop routing for good."""
    asked: list[Any] = []
    monkeypatch.setattr(command, "read", lambda *_: {"routing": {"mode": "on"}})
    monkeypatch.setattr(command, "ask", lambda *arguments: asked.append(arguments))
    port: Any = None
    with pytest.raises(KeyError):  # which `show` tells as a service that must be restarted
        command._answer(port, "off", 60)
    assert asked == []


def test_a_mode_is_set_for_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(command, "read", lambda *_: {"routing": {"mode": "on", "until": None}})

    def ask(_: Any, *arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return {}

    monkeypatch.setattr(command, "ask", ask)
    port: Any = None
    command._answer(port, "off", 60)
    command._answer(port, "off", None)
    assert asked == [("POST", "/mode", {"mode": "off", "seconds": 60}), ("POST", "/mode", {"mode": "off"})]
