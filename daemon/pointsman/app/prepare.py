"""Prepare a config for serving: read and check all files, and load the classifier."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.classifier import Classifier, load_classifier
from pointsman.classify.time_limit import in_time
from pointsman.config.admin_address import with_admin_address
from pointsman.config.lint import lint
from pointsman.config.load import load
from pointsman.config.loops import own_listener
from pointsman.config.model import Config, Endpoint
from pointsman.config.secret import read_secret
from pointsman.errors import CannotStart, ConfigError
from pointsman.observability.log_line import Level
from pointsman.upstream.client import read_key


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked config, its classifier, and the warnings that `check` prints.

    `key_line` is the header line with vLLM's API key, `admin_token` what the admin port wants where it is TCP.
    """

    config: Config
    classifier: Classifier
    key_line: bytes
    warnings: tuple[str, ...]
    admin_token: bytes | None = None

    def sha256(self) -> str:
        """Return a hex digest of the config's values, independent of the file's formatting."""
        return hashlib.sha256(msgspec.json.encode(dataclasses.asdict(self.config), order="sorted")).hexdigest()


def prepare(
    path: Path,
    previous: Prepared | None = None,
    *,
    vllm: str | None = None,
    log_level: Level | None = None,
    hash_key: bytes = b"",
) -> Prepared:
    """Read a config file and all files that it names; raises CannotStart.

    The classifier of `previous` is reused if it is the same. `vllm`, an address, overrides the config's endpoints, and
    `log_level` its log level; `hash_key` is that of the log's `text_hash`.
    """
    loaded = load(path)
    config = loaded.config
    folder = artifact.resolve(config.classifier.category_model.model_id, loaded.folder)
    limit_s = config.pointsman.classifier.load_timeout_ms / 1000
    found = in_time(limit_s, folder, lambda: artifact.load(folder))
    findings = lint(loaded, found.manifest.labels)
    if findings.errors:
        raise ConfigError(str(path), findings.errors)
    if vllm is not None:
        config = _on(vllm, config)
        refuse_loops(config)
    if log_level is not None:
        log = dataclasses.replace(config.pointsman.log, level=log_level)
        config = dataclasses.replace(config, pointsman=dataclasses.replace(config.pointsman, log=log))
    server = with_admin_address(config.pointsman.server, files.runtime_directory())
    config = dataclasses.replace(config, pointsman=dataclasses.replace(config.pointsman, server=server))
    key_line = read_key(config.pointsman.relay.api_key_file)
    token_file = server.admin_token_file
    token = None if token_file is None else read_secret(token_file, "pointsman.server.admin_token_file")
    if previous is not None and _serves(previous, config, found):
        classifier = previous.classifier
    else:
        classifier = load_classifier(config, found, hash_key)
    warnings = tuple(problem.render(str(path)) for problem in findings.warnings)
    return Prepared(config, classifier, key_line, warnings, token)


def refuse_loops(config: Config) -> None:
    """Raise CannotStart if an endpoint is one of our own listeners."""
    server = config.pointsman.server
    for endpoint in config.vllm_endpoints:
        found = own_listener(endpoint, server.addresses)
        if found is not None:
            raise CannotStart(
                f"this service itself listens at {found}, the address of endpoint {endpoint.name}: requests would loop "
                "endlessly; use vLLM's own address, or restart if pointsman.server.listen has changed"
            )


def _on(vllm: str, config: Config) -> Config:
    models = {name: dataclasses.replace(model, preferred_endpoints=()) for name, model in config.model_config.items()}
    return dataclasses.replace(config, vllm_endpoints=(Endpoint(name="vllm", address=vllm),), model_config=models)


def _serves(previous: Prepared, config: Config, found: Artifact) -> bool:
    """Return whether the classifier of `previous` can be reused: same files, same options."""
    before = previous.config
    return (
        previous.classifier.healthy
        and previous.classifier.artifact.manifest == found.manifest
        and before.pointsman.classifier == config.pointsman.classifier
        and before.classifier.category_model.use_cpu == config.classifier.category_model.use_cpu
    )
