"""`pointsman init`: from a running vLLM to a config that serves it, and one clear line where that cannot be."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from pointsman.cli import check
from pointsman.cli.init import main as init_main
from pointsman.cli.init.main import init as run
from pointsman.cli.main import main
from pointsman.config import admin_address, load
from support import newcomer
from support.daemon import run_daemon
from support.fake_vllm import FakeVllm, run_fake_vllm
from support.hostile import Exchange, Hostile, deaf_port, head, run_hostile, sends, stall, whole
from support.process import reserve_port
from support.service import CHAT, MEDICAL, TECHNICAL, chat, shipped_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.vllm_server import VllmServer


def card(name: str, root: str | None = None, parent: str | None = None) -> dict[str, Any]:
    """An entry of `/v1/models` with all that vLLM 0.32 says."""
    permission = {"id": "modelperm-1", "object": "model_permission", "allow_sampling": True, "group": None}
    about = {"object": "model", "created": 1795559641, "owned_by": "vllm", "max_model_len": None}
    return {"id": name, "root": root or name, "parent": parent, **about, "permission": [permission]}


def models(*cards: dict[str, Any]) -> bytes:
    return json.dumps({"object": "list", "data": cards}).encode()


ADAPTERS = ("technical-lora", "medical-lora", "legal-lora", "extra-lora")
MODELS = models(
    card("base-model", "/models/tiny-llama"),
    *(card(name, f"/models/loras/{name}", "base-model") for name in ADAPTERS),
)


class Init:
    """The command, in a thread of this process, as it writes to `file`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.out = self.err = ""

    async def __call__(self, url: str, *, key_file: Path | None = None, force: bool = False) -> int:
        out, err = io.StringIO(), io.StringIO()
        code = await asyncio.to_thread(run, url, self.file, key_file, force=force, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return code

    async def refused(self, url: str, **options: Any) -> str:
        """The one line that it says where it writes nothing, not even a folder or a part of a file."""
        before = sorted(self.file.parent.parent.rglob("*"))
        assert await self(url, **options) == 1
        assert sorted(self.file.parent.parent.rglob("*")) == before
        assert self.out == ""
        assert self.err.count("\n") == 1
        return self.err


@pytest.fixture
def init(tmp_path: Path) -> Init:
    return Init(tmp_path / "config" / "config.yaml")


@pytest_asyncio.fixture
async def hostile() -> AsyncIterator[Hostile]:
    async with run_hostile() as upstream:
        upstream.models = whole(MODELS)
        upstream.script = whole(b'{"version":"0.32.0"}')
        yield upstream


def url(upstream: Hostile | FakeVllm) -> str:
    return f"http://127.0.0.1:{upstream.port}"


async def test_what_vllm_serves_becomes_a_config_that_passes_the_check(hostile: Hostile, init: Init) -> None:
    assert await init(url(hostile)) == 0
    checked = io.StringIO()

    assert check.check(init.file, checked) == 0
    warnings = [line for line in checked.getvalue().splitlines() if "warning" in line]
    assert [line for line in warnings if "is now the threshold" not in line and "hardly says what" not in line] == []
    config = load.load(init.file).config
    assert {x.name: x.model_scores[0].target for x in config.categories} == {
        "technical": "technical-lora",
        "medical": "medical-lora",
        "legal": "legal-lora",
        "extra-lora": "extra-lora",
        "general": "base-model",
    }
    assert f"written for vLLM 0.32.0 at {url(hostile)}" in init.out
    assert "extra-lora  extra-lora: a guess from the name: say what it is for" in init.out
    assert f"pointsman serve --config {init.file}" in init.out
    assert stat.S_IMODE(init.file.stat().st_mode) == 0o644
    assert [*init.file.parent.iterdir()] == [init.file]


async def test_the_service_runs_with_it_and_each_question_reaches_its_adapter(tmp_path: Path, init: Init) -> None:
    async with run_fake_vllm() as fake, aiohttp.ClientSession() as http:
        assert await init(url(fake)) == 0
        async with run_daemon(init.file, tmp_path) as daemon:
            models = [await ask(http, daemon.base_url, text) for text in (TECHNICAL, MEDICAL)]

    assert models == ["technical-lora", "medical-lora"]


async def ask(http: aiohttp.ClientSession, base_url: str, text: str) -> str:
    async with http.post(base_url + CHAT, json=chat(text)) as response:
        return response.headers["x-vsr-selected-model"]


async def test_the_stand_in_of_the_demo_can_be_asked_too(tmp_path: Path, init: Init) -> None:
    config = shipped_config(reserve_port())
    async with run_daemon(config, tmp_path, args=["--demo"]):
        assert await init(f"http://127.0.0.1:{config['vllm_endpoints'][0]['port']}") == 0

    assert set(yaml.safe_load(init.file.read_text())["model_config"]) == set(config["model_config"])


@pytest.mark.vllm
async def test_a_real_vllm_is_served_as_it_is(vllm: VllmServer, tmp_path: Path, init: Init) -> None:
    assert await init(vllm.base_url) == 0
    async with run_daemon(init.file, tmp_path) as daemon, aiohttp.ClientSession() as http:
        models = [await ask(http, daemon.base_url, text) for text in (TECHNICAL, MEDICAL)]

    assert models == ["technical-lora", "medical-lora"]
    assert "written for vLLM 0." in init.out
    loras = load.load(init.file).config.model_config[vllm.base_model].loras
    assert {lora.name: lora.path for lora in loras} == {
        name: str(vllm.model / "adapters" / name) for name in vllm.adapters
    }


async def test_an_address_that_ends_in_v1_is_taken_as_an_openai_client_takes_it(hostile: Hostile, init: Init) -> None:
    assert await init(f"{url(hostile)}/v1/") == 0
    assert load.load(init.file).config.vllm_endpoints[0].base_url == url(hostile)


async def test_without_adapters_the_base_model_answers_everything(hostile: Hostile, init: Init) -> None:
    hostile.models = whole(models(card("base-model"), card("second-model")))

    assert await init(url(hostile)) == 0
    assert "\n  base-model  (default)\n  second-model\nno adapter is served" in init.out
    assert check.check(init.file, io.StringIO()) == 0


async def test_a_version_that_is_not_told_does_not_matter(hostile: Hostile, init: Init) -> None:
    for script in (
        whole(b"<html>"),
        whole(b'{"version":"\\u001b[2J"}'),
        whole(b"{}", "404 Not Found"),
        sends(b"?", then=Exchange.close),
    ):
        hostile.script = script
        assert await init(url(hostile), force=True) == 0
        assert "written for vLLM at" in init.out


# --- keys ----------------------------------------------------------------------------------------------------------


def locked(answer: bytes) -> Callable[[Exchange], Awaitable[None]]:
    """Answers like vLLM with --api-key sekret."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.values("authorization") == ["Bearer sekret"]:
            await whole(answer)(exchange)
        else:
            await whole(b'{"error":"Unauthorized"}', "401 Unauthorized")(exchange)

    return script


async def test_a_vllm_that_wants_a_key_gets_it_and_the_config_names_the_file(
    hostile: Hostile, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile.models = locked(MODELS)
    (tmp_path / "key").write_text("sekret\n")
    monkeypatch.chdir(tmp_path)

    assert await init(url(hostile), key_file=Path("key")) == 0
    assert load.load(init.file).config.pointsman.relay.api_key_file == str(tmp_path / "key")
    assert "sekret" not in init.file.read_text() + init.out


async def test_a_vllm_that_wants_a_key_is_told_as_such(hostile: Hostile, init: Init, tmp_path: Path) -> None:
    hostile.models = locked(MODELS)
    (tmp_path / "key").write_text("another")

    assert "requires a key (status 401)" in await init.refused(url(hostile))
    assert "--api-key-file" in init.err
    assert "refuses the key (status 401)" in await init.refused(url(hostile), key_file=tmp_path / "key")
    assert "another" not in init.err


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"two\nlines", b"x" * 5000])
async def test_a_key_file_that_holds_no_key_is_named(content: bytes | None, init: Init, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    assert f"--api-key-file: {file}" in await init.refused("http://127.0.0.1:1", key_file=file)


# --- what is no vLLM -----------------------------------------------------------------------------------------------


async def endless(exchange: Exchange) -> None:
    """A list of models that never ends."""
    await exchange.send(head("200 OK", "Content-Type: application/json") + b'{"data":[')
    while not exchange.connection.gone.is_set():
        await exchange.send(b" " * 2**16)


async def trickle(exchange: Exchange) -> None:
    """A byte now and then."""
    await exchange.send(head("200 OK", "Content-Length: 1000000"))
    while not exchange.connection.gone.is_set():
        await exchange.send(b" ")
        await asyncio.sleep(0.05)


NO_VLLM = {
    "a page": (whole(b"<html>Welcome to nginx!</html>"), "not as vLLM does"),
    "other JSON": (whole(b'{"models":[]}'), "not as vLLM does"),
    "a list": (whole(b"[]"), "not as vLLM does"),
    "nothing": (whole(b""), "not as vLLM does"),
    "no text": (whole(b'{"data":[{"id":"\xff"}]}'), "not as vLLM does"),
    "numbers for names": (whole(b'{"data":[{"id":7}]}'), "not as vLLM does"),
    "deep nesting": (whole(b'{"data":' + b"[" * 100_000), "not as vLLM does"),
    "a redirect": (sends(head("302 Found", "Location: /login", "Content-Length: 0")), "status 302"),
    "a missing page": (whole(b'{"detail":"Not Found"}', "404 Not Found"), "status 404"),
    "a fault": (whole(b"oops", "500 Internal Server Error"), "status 500"),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "something else than HTTP"),
    "half an answer": (sends(head("200 OK", "Content-Length: 9") + b"{", then=Exchange.close), "broke off"),
    "no answer": (sends(then=Exchange.close), "broke the connection"),
    "a huge head": (sends(head("200 OK", "X: " + "x" * 100_000)), "something else than HTTP"),
    "an endless answer": (endless, "an answer of more than"),
    "no models": (whole(models()), "serves no base model"),
    "adapters alone": (whole(models(card("a", parent="b"))), "serves no base model"),
    "too many models": (whole(models(*(card(str(number)) for number in range(1001)))), "at most 1,000"),
    "no name": (whole(models(card("base"), card("", parent="base"))), "whose name is empty"),
    "a long name": (whole(models(card("x" * 501))), "longer than 500 characters"),
    "Pointsman": (whole(models(card("MoM"), card("base"))), "as Pointsman itself does"),
    "long names": (
        whole(models(card("base"), *(card(f"{n}{'x' * 490}", parent="base") for n in range(999)))),
        "would be larger than 1,048,576 bytes",
    ),
}


@pytest.mark.parametrize("case", NO_VLLM)
async def test_what_is_no_vllm_is_told_in_one_line_and_nothing_is_written(
    case: str, hostile: Hostile, init: Init
) -> None:
    hostile.models, says = NO_VLLM[case]

    assert says in await init.refused(url(hostile))


@pytest.mark.parametrize("script", [stall, trickle])
async def test_an_answer_that_does_not_come_is_not_waited_for(
    script: Callable[[Exchange], Awaitable[None]], hostile: Hostile, init: Init
) -> None:
    hostile.models = script
    started = time.monotonic()

    assert "does not answer `/v1/models`" in await init.refused(url(hostile))
    assert time.monotonic() - started < 30


async def test_nobody_at_the_address_is_told(init: Init) -> None:
    assert "is a server running there?" in await init.refused(f"http://127.0.0.1:{reserve_port()}")
    assert "is a server running there?" in await init.refused("unix:/nowhere/vllm.sock")
    with deaf_port() as port:
        assert "did not answer in time" in await init.refused(f"http://127.0.0.1:{port}")


# --- the file ------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_there_is_left_alone_without_force(hostile: Hostile, init: Init) -> None:
    init.file.parent.mkdir()
    init.file.write_text("mine")

    assert "exists already; overwrite it with --force" in await init.refused(url(hostile))
    assert (init.file.read_text(), hostile.connections) == ("mine", [])
    assert await init(url(hostile), force=True) == 0
    assert load.load(init.file).config.default_model == "base-model"


async def test_a_file_that_comes_up_meanwhile_is_left_alone_too(hostile: Hostile, init: Init) -> None:
    init.file.parent.mkdir()

    async def write_then_answer(exchange: Exchange) -> None:
        init.file.write_text("mine")
        await whole(MODELS)(exchange)

    hostile.models = write_then_answer

    assert await init(url(hostile)) == 1
    assert "exists already" in init.err
    assert [path.read_text() for path in init.file.parent.iterdir()] == ["mine"]


async def test_a_vllm_that_is_gone_does_not_cost_the_config(init: Init) -> None:
    init.file.parent.mkdir()
    init.file.write_text("mine")

    await init.refused(f"http://127.0.0.1:{reserve_port()}", force=True)
    assert init.file.read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
async def test_a_place_that_cannot_be_written_is_named(force: bool, hostile: Hostile, init: Init) -> None:
    init.file = init.file.parent / "nowhere" / "config.yaml"
    assert f"{init.file}: cannot be written (No such file or directory)" in await init.refused(url(hostile))
    init.file.parent.mkdir(parents=True)
    init.file.mkdir()
    assert str(init.file) in await init.refused(url(hostile), force=force)


# --- cards ---------------------------------------------------------------------------------------------------------


FLEET = ("sql-gen-v3", "discharge-summary-v2", "captain-barnaby", "legal-lora", "clause-finder", "commit-helper")
ABOUT = {
    "sql-gen-v3": "# sql-gen\n\nTurns a question about sales or stock into a SQL query for our warehouse.",
    "captain-barnaby": "---\nlicense: mit\n---\nTalks like Captain Barnaby, an old pirate, who tells tales of the sea.",
}


@pytest.fixture
def fleet(tmp_path: Path, hostile: Hostile) -> Hostile:
    """A vLLM with six adapters, of which two have a card, one a pipe for it, and one a folder that is a loop."""
    folder = tmp_path / "adapters"
    for name in FLEET:
        (folder / name).mkdir(parents=True)
    for name, text in ABOUT.items():
        (folder / name / "adapter_config.json").write_text(
            '{"base_model_name_or_path": "org/b", "task_type": "CAUSAL_LM"}'
        )
        (folder / name / "README.md").write_text(text)
    os.mkfifo(folder / "clause-finder" / "adapter_config.json")
    (folder / "commit-helper").rmdir()
    (folder / "commit-helper").symlink_to("commit-helper")
    hostile.models = whole(
        models(card("base-model"), *(card(name, str(folder / name), "base-model") for name in FLEET))
    )
    return hostile


async def test_an_adapter_is_described_by_its_card_and_one_without_by_its_name_as_the_summary_says(
    fleet: Hostile, init: Init, tmp_path: Path
) -> None:
    assert await init(url(fleet)) == 0
    config = load.load(init.file).config
    assert {x.name: x.description for x in config.categories} == {
        "sql-gen-v3": "Turns a question about sales or stock into a SQL query for our warehouse.",
        "discharge-summary-v2": "discharge summary v2",
        "captain-barnaby": "Talks like Captain Barnaby, an old pirate, who tells tales of the sea.",
        "clause-finder": "clause finder",
        "commit-helper": "commit helper",
        "legal": "",
        "general": "",
    }
    assert "\n    sql-gen-v3  sql-gen-v3: described by its card\n" in init.out
    assert "\n    discharge-summary-v2  discharge-summary-v2: a guess from the name: say what it is for\n" in init.out
    said = f"{tmp_path}/adapters/clause-finder/adapter_config.json: it is a pipe or a device, not a file"
    assert f"\ncard not read: {said}\n" in init.out
    assert "commit-helper/adapter_config.json: Too many levels of symbolic links" in init.out
    assert check.check(init.file, io.StringIO()) == 0


@pytest.mark.heavy
async def test_a_prompt_reaches_the_adapter_that_a_card_describes(fleet: Hostile, init: Init, tmp_path: Path) -> None:
    async with run_fake_vllm() as fake, aiohttp.ClientSession() as http:
        listed = [{"id": "base-model", "parent": None}]
        listed += [{"id": x, "parent": "base-model", "root": str(tmp_path / "adapters" / x)} for x in FLEET]
        fake.models = {"data": listed}
        assert await init(url(fake)) == 0
        async with run_daemon(init.file, tmp_path) as daemon:
            asked = "Write a SQL query for the sales of last year by warehouse"
            assert await ask(http, daemon.base_url, asked) == "sql-gen-v3"


# --- adding --------------------------------------------------------------------------------------------------------


async def adds(file: Path) -> int:
    return await asyncio.to_thread(main, ["init", "--add", "-o", str(file)])


async def test_what_is_new_is_added_by_asking_the_endpoints_of_the_config_and_a_second_time_nothing_is(
    hostile: Hostile, init: Init, fleet: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link to the file stays one, the mode stays, and so does a byte order mark."""
    listed = hostile.models
    hostile.models = whole(models(card("base-model"), card("legal-lora", parent="base-model")))
    assert await init(url(hostile)) == 0
    link = init.file.parent / "link.yaml"
    link.symlink_to(init.file.name)
    init.file.write_bytes(b"\xef\xbb\xbf" + init.file.read_bytes())
    init.file.chmod(0o640)
    before = init.file.read_bytes()
    fleet.models = listed

    assert await adds(link) == 0
    out, err = capsys.readouterr()
    assert (out.count("card not read: "), err) == (2, "")
    assert f"{link}: changed\n  sql-gen-v3  sql-gen-v3: described by its card\n" in out
    assert out.endswith(f"next: `pointsman check {link}`\n")
    assert (link.is_symlink(), stat.S_IMODE(init.file.stat().st_mode)) == (True, 0o640)
    after = init.file.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf# Written by")
    lines = after.splitlines()
    assert [line for line in before.splitlines() if line not in lines] == []
    assert check.check(init.file, io.StringIO()) == 0
    assert len(load.load(init.file).config.categories) == 2 + 5

    assert await adds(link) == 0
    assert capsys.readouterr().out == f"{link}: nothing to add\n"
    assert init.file.read_bytes() == after


async def test_where_nothing_can_be_added_the_lines_to_paste_are_printed_and_the_status_is_4(
    hostile: Hostile, init: Init, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in brackets, or may not be written."""
    assert await init(url(hostile)) == 0
    hostile.models = whole(models(card("base-model"), card("sql", "/srv/sql", "base-model")))
    block = init.file.read_text()
    flow = yaml.safe_dump(yaml.safe_load(block), default_flow_style=True)
    for content, why in ((flow, "its `categories` are not a list"), (block, "it is not writable")):
        init.file.write_text(content)
        assert await adds(init.file) == 4
        out, err = capsys.readouterr()
        assert out.startswith(f"{init.file}: not changed: {why}")
        assert "at the end of `model_config.base-model.loras`, which is at line" in out
        assert '\n      - name: "sql"\n        path: "/srv/sql"\n' in out
        assert '\n  - name: "sql"\n    description: "sql"    # a guess from the name: say what it is for\n' in out
        assert (init.file.read_text(), err) == (content, "")
        assert [*init.file.parent.iterdir()] == [init.file]
        monkeypatch.setattr(os, "access", lambda path, mode: False)


async def test_a_config_that_changes_meanwhile_is_left_alone(
    hostile: Hostile, init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await init(url(hostile)) == 0

    async def change_then_answer(exchange: Exchange) -> None:
        init.file.write_text(f"{init.file.read_text()}# mine\n")
        await whole(models(card("base-model"), card("sql", parent="base-model")))(exchange)

    hostile.models = change_then_answer
    assert await adds(init.file) == 1
    assert "has changed meanwhile; run the command again" in capsys.readouterr().err
    assert init.file.read_text().endswith("# mine\n")
    assert "sql" not in init.file.read_text()


async def test_an_endpoint_that_does_not_answer_is_left_out_and_one_must(
    hostile: Hostile, init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await init(url(hostile)) == 0
    hostile.models = whole(models(card("base-model"), card("sql", parent="base-model")))
    second = f"  - name: second\n    address: 127.0.0.1\n    port: {reserve_port()}\n"
    text = init.file.read_text().replace("vllm_endpoints:\n", f"vllm_endpoints:\n{second}")
    init.file.write_text(text)
    assert await adds(init.file) == 0
    assert "left out: no connection" in capsys.readouterr().err
    assert "sql" in init.file.read_text()

    init.file.write_text(text.replace(f"port: {hostile.port}", f"port: {reserve_port()}"))
    before = init.file.read_text()
    assert await adds(init.file) == 1
    assert capsys.readouterr().err.count("no connection") == 1
    assert init.file.read_text() == before


async def test_the_endpoints_get_the_configs_key(hostile: Hostile, init: Init, tmp_path: Path) -> None:
    hostile.models = locked(MODELS)
    (tmp_path / "key").write_text("sekret\n")
    assert await init(url(hostile), key_file=tmp_path / "key") == 0
    assert await adds(init.file) == 0
    (tmp_path / "key").write_text("another\n")
    assert await adds(init.file) == 1


@pytest.mark.parametrize("more", [["--force"], ["--vllm", "127.0.0.1:1"], ["--api-key-file", "x"]])
def test_adding_takes_no_other_option(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["init", "--add", *more])

    assert left.value.code == 2
    assert "--add asks the vllm_endpoints of the config" in capsys.readouterr().err


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("user", [0, 1000])
async def test_root_of_an_installed_host_writes_the_services_config(
    there: bool, user: int, hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "etc" / "config.yaml"
    monkeypatch.setattr(load, "INSTALLED", installed)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.chdir(tmp_path)
    if there:
        installed.parent.mkdir()

    assert await asyncio.to_thread(main, ["init", "--vllm", f"127.0.0.1:{hostile.port}"]) == 0
    written = [path for path in (installed, tmp_path / "config" / "config.yaml") if path.exists()]
    assert written == [installed if there and user == 0 else tmp_path / "config" / "config.yaml"]


@pytest.mark.parametrize(
    ("unit", "runs", "command"),
    [
        (True, False, "systemctl enable --now pointsman.socket pointsman.service"),
        (True, True, "systemctl restart pointsman.service"),
        (False, False, "pointsman serve --config {file}"),
    ],
)
async def test_where_a_unit_serves_the_file_it_is_the_next_command(
    unit: bool, runs: bool, command: str, hostile: Hostile, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "INSTALLED", init.file)
    monkeypatch.setattr(init_main, "UNITS", (str(tmp_path / "none"), str(tmp_path / "units")))
    monkeypatch.setattr(admin_address, "INSTALLED_SOCKET", tmp_path / "run" / "admin.sock")
    if unit:
        (tmp_path / "units").mkdir()
        (tmp_path / "units" / "pointsman.service").touch()
    if runs:
        (tmp_path / "run").mkdir()  # systemd removes it with the service

    assert await init(url(hostile)) == 0
    assert init.out.splitlines()[-1] == (
        f"next: `pointsman check {init.file}`, then `{command.format(file=init.file)}`"
    )


async def test_a_file_that_no_unit_serves_needs_a_command(
    hostile: Hostile, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_main, "UNITS", (str(tmp_path),))
    (tmp_path / "pointsman.service").touch()

    assert await init(url(hostile)) == 0
    assert f"then `pointsman serve --config {init.file}`" in init.out


@pytest.mark.parametrize("address", ["", "user:secret@host:1", "http://host:port", "ftp://host"])
def test_an_address_that_is_none_is_wrong_usage(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["init", "--vllm", address])

    assert left.value.code == 2
    assert "argument --vllm" in capsys.readouterr().err


async def test_a_newcomer_with_twelve_unknown_adapters_has_a_service_that_routes(tmp_path: Path, init: Init) -> None:
    newcomer.write_cards(tmp_path / "loras")
    async with run_fake_vllm() as fake, aiohttp.ClientSession() as http:
        names = [one["name"] for one in newcomer.ADAPTERS]
        served = (card(name, str(tmp_path / "loras" / name), "base-model") for name in names)
        fake.models = json.loads(models(card("base-model"), *served))
        assert await init(url(fake)) == 0
        assert init.out.count("described by its card") == 6
        newcomer.say_what_each_is_for(init.file)
        assert check.check(init.file, io.StringIO()) == 0
        async with run_daemon(init.file, tmp_path) as daemon:
            answered = {prompt: await ask(http, daemon.base_url, prompt) for _, prompt in newcomer.PROMPTS}

    newcomer.assert_routed(answered.__getitem__)
