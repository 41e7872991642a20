"""A hub of models: serves folders under the ids that they are given, as huggingface.co serves repositories."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_COMMIT = "c0ffee" + 34 * "0"


class Hub:
    """`fetched` are the names of the files that were downloaded."""

    def __init__(self, models: Mapping[str, Path]) -> None:
        self.fetched: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                for model, folder in models.items():
                    if path.startswith(f"/api/models/{model}"):
                        names = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*")) if file.is_file()]
                        about = {"id": model, "sha": _COMMIT, "siblings": [{"rfilename": name} for name in names]}
                        return self._answer(json.dumps(about).encode())
                    if path.startswith(f"/{model}/resolve/"):
                        name = path.removeprefix(f"/{model}/resolve/").partition("/")[2]
                        if self.command == "GET":
                            hub.fetched.append(name)
                        return self._answer((folder / name).read_bytes())
                return self.send_error(404)

            do_HEAD = do_GET  # noqa: N815

            def _answer(self, content: bytes) -> None:
                self.send_response(200)
                self.send_header("X-Repo-Commit", _COMMIT)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def serving(models: Mapping[str, Path]) -> Iterator[Hub]:
    hub = Hub(models)
    try:
        yield hub
    finally:
        hub.close()
