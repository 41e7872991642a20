"""`pointsman teach` against a server on a socket: it can be stopped at any point, and texts go nowhere unasked."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from pointsman.classify import artifact, ordinary
from pointsman.classify.manifest import MODEL, TAUGHT
from pointsman.improve.taught_file import TaughtRow, taught_file
from pointsman.improve.texts_file import TextRecord
from pointsman.store.rows_file import encoded
from support import toy_artifact
from support.config_files import LABELS

PROGRAM = "import sys; from pointsman.cli.main import main; sys.exit(main(['teach', *sys.argv[1:]]))"
WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "reef")
CONFIG = """\
vllm_endpoints: [{{name: a, address: 127.0.0.1, port: {port}}}]
model_config: {{base: {{loras: [{{name: one}}, {{name: two}}]}}}}
default_model: base
categories:
- {{name: snippets, description: Reviews python., model_scores: [{{model: base, lora_name: one}}]}}
- {{name: rent, description: Knows what a landlord may do., model_scores: [{{model: base, lora_name: two}}]}}
pointsman: {{log: {{texts_file: texts.jsonl}}}}
"""


@dataclass
class Teacher:
    """A server whose model writes prompts that begin with a category's name; `on_question` is called before each.

    No file of the command gets larger than `room`, in bytes, which stands for a full disk.
    """

    folder: Path
    asked: list[dict[str, object]] = field(default_factory=list)
    on_question: Callable[[int], object] = lambda _: None
    port: int = 0
    room: int = resource.RLIM_INFINITY

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "base"}]})

    async def answer(self, request: web.Request) -> web.Response:
        fields = await request.json()
        self.asked.append(fields)
        self.on_question(len(self.asked))
        said = self._said(fields["messages"][0]["content"])
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        return web.json_response({"choices": [{"message": {"content": said}}], "usage": usage})

    def _said(self, asked: str) -> str:
        if "data as well" in asked:
            message = json.loads(asked.split("data as well:\n")[1].splitlines()[0])
            return json.dumps({"number": {"snippets": "1", "rent": "2"}.get(message.split()[0], "none")})
        data = json.loads(asked.splitlines()[1])
        name = data["assistant"]["name"] if "assistant" in data else "nobody"
        start = 10 * sum("data as well" not in str(one["messages"]) for one in self.asked)
        digits = [[number // 9**place % 9 for place in range(4)] for number in range(start, start + 10)]
        return json.dumps({"prompts": [f"{name} " + " ".join(WORDS[digit] for digit in some) for some in digits]})

    async def teach(self, *options: str) -> tuple[int, str, str]:
        """Run the command to its end."""
        return await ended(await self.start(*options))

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        config, base = self.folder / "config.yaml", self.folder / "toy"
        config.write_text(CONFIG.format(port=self.port))
        given = ["--config", str(config), "--base", str(base), "--rows", "10", *options]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            *given,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"STATE_DIRECTORY": str(self.folder / "state")},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (self.room, self.room)),
        )

    @property
    def rows(self) -> list[TaughtRow | None]:
        return taught_file(self.folder / "state" / "improve" / "taught.jsonl").read()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def teacher(tmp_path: Path) -> AsyncIterator[Teacher]:
    rows = np.random.default_rng(0).normal(size=(50, len(LABELS))).astype("f")
    contents = {MODEL: toy_artifact.with_features(toy_artifact.model()), "ordinary.bin": ordinary.encode(rows)}
    toy_artifact.build(tmp_path / "toy", contents, format_version=4, features=toy_artifact.FEATURES)
    found = Teacher(tmp_path)
    app = web.Application()
    app.router.add_get("/v1/models", found.models)
    app.router.add_post("/v1/chat/completions", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.port = runner.addresses[0][1]
    yield found
    await runner.cleanup()


async def test_a_teaching_ends_with_rows_and_a_classifier(teacher: Teacher) -> None:
    code, out, err = await teacher.teach()

    assert code == 0, err
    folder, *report = out.splitlines()
    assert TAUGHT in artifact.read_own(Path(folder)).files
    assert "each row judged by a head that did not see it (5 folds):" in report
    assert sorted({row.label or "" for row in teacher.rows if row}) == ["", "rent", "snippets"]
    assert len(teacher.rows) == 10 + 10 + 20
    assert "base at 127.0.0.1 gets the descriptions of 2 categories" in err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_a_teaching_that_is_stopped_goes_on_where_it_stopped(teacher: Teacher, how: signal.Signals) -> None:
    process = await teacher.start()
    teacher.on_question = lambda number: process.send_signal(how) if number == 20 else None
    code, _, err = await ended(process)
    assert code != 0
    if how != signal.SIGKILL:
        assert "interrupted; the same command goes on where this one stopped" in err
    before = len(teacher.asked)

    code, _, err = await teacher.teach()

    assert code == 0, err
    assert len(teacher.rows) == 40
    assert before + len(teacher.asked[before:]) <= 4 + 40 + 2 * 2  # what was in flight is asked again


async def test_notes_that_fitted_on_a_full_disk_count_once_there_is_room(teacher: Teacher) -> None:
    await teacher.teach("--label")  # has no texts; it leaves the table of languages
    teacher.room = 1000
    code, _, err = await teacher.teach()
    assert code == 1
    assert "teaching.jsonl: cannot be used (File too large); check path, permissions and room" in err
    before = len(teacher.asked)

    teacher.room = resource.RLIM_INFINITY
    code, _, err = await teacher.teach()

    assert code == 0, err
    assert len(teacher.rows) == 40
    assert len(teacher.asked) < 44 + before


async def test_a_classifier_for_which_there_is_no_room_leaves_nothing(teacher: Teacher) -> None:
    file = teacher.folder / "mine.jsonl"
    taught_file(file).replace([TaughtRow(f"python {word}", "snippets") for word in WORDS])
    await teacher.teach("--label")
    teacher.room = 1000

    code, _, err = await teacher.teach("--from", str(file))

    assert code == 1
    assert "File too large" in err
    assert not list((teacher.folder / "state").glob("improve/artifacts/*"))


async def test_stored_texts_are_labeled_without_new_prompts(teacher: Teacher) -> None:
    texts = [TextRecord(f"{i}", f"rent {word}", client="ann") for i, word in enumerate(WORDS)]
    (teacher.folder / "texts.jsonl").write_bytes(b"".join(map(encoded, texts)))

    code, _, err = await teacher.teach("--label")

    assert code == 0, err
    assert {(row.label, row.client) for row in teacher.rows if row} == {("rent", "ann")}
    assert len(teacher.asked) == len(texts)


async def test_a_classifier_is_made_of_a_file_of_rows_and_nobody_is_asked(teacher: Teacher) -> None:
    file = teacher.folder / "mine.jsonl"
    taught_file(file).replace([TaughtRow(f"python {word}", "snippets") for word in WORDS])

    code, _, err = await teacher.teach("--from", str(file))

    assert (code, teacher.asked) == (0, []), err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", "http://models.example:8000"], "texts go there only with --send-texts-to models.example"),
        (["--url", "http://models.example", "--send-texts-to", "other.example"], "--send-texts-to models.example"),
        (["--key-file", "/dev/null"], "--key-file is for --url"),
        (["--label"], "no texts are stored in"),
    ],
)
async def test_texts_go_to_the_configs_endpoints_or_where_they_are_sent_by_name(
    teacher: Teacher, options: list[str], said: str
) -> None:
    code, _, err = await teacher.teach(*options)

    assert code == 1
    assert said in err
    assert not teacher.asked


async def test_a_key_goes_to_another_host_over_tls_only(teacher: Teacher) -> None:
    key = teacher.folder / "key"
    key.write_text("secret")
    options = ["--url", "http://models.example", "--send-texts-to", "models.example", "--key-file", str(key)]

    code, _, err = await teacher.teach(*options)

    assert code == 1
    assert "the key would go to models.example in plain text; name it with https://" in err


async def test_a_server_that_is_gone_is_named_and_nothing_is_made(teacher: Teacher) -> None:
    teacher.port = 9
    code, _, err = await teacher.teach()

    assert code == 1
    assert "no connection to 127.0.0.1" in err
    left = {path.name for path in (teacher.folder / "state").rglob("*") if path.is_file()}
    assert not {name for name in left if not name.startswith("languages-")}  # a cache that any command may make


async def test_a_model_that_the_server_does_not_have_is_named(teacher: Teacher) -> None:
    code, _, err = await teacher.teach("--model", "gemma")

    assert (code, teacher.asked) == (1, [])
    assert "the server has no model 'gemma', but base; name one with --model" in err
