"""Prepare a config for serving: read and check all files, and load the classifier."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from pointsman import files
from pointsman.classify import artifact, kept_encoder
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import make_head
from pointsman.classify.classifier import Classifier
from pointsman.classify.encoder import Encoder, load_encoder
from pointsman.classify.time_limit import in_time
from pointsman.config import kept_examples
from pointsman.config.admin_address import with_admin_address
from pointsman.config.client_keys import ClientKeys, KeyFile, load_keys
from pointsman.config.cross_checks import KEEP_OUT, REACHABLE, serves_strangers
from pointsman.config.kept_examples import KeptExample
from pointsman.config.lint import lint, lint_shadow, shadow_unread
from pointsman.config.load import LoadedConfig, content, decoded, load_text
from pointsman.config.loops import own_listener
from pointsman.config.model import ClassifierOptions, Config, Endpoint, TlsOptions
from pointsman.config.overlay import Promotion, with_classifier
from pointsman.config.rolled_back import RolledBack
from pointsman.config.secret import read_secret
from pointsman.config.tls import BadCertificate, Certificate, read_certificate
from pointsman.errors import ArtifactError, CannotStart, ConfigError, Problem
from pointsman.observability import spans
from pointsman.observability.log_line import Level
from pointsman.routing import threshold_problems
from pointsman.routing.thresholds import thresholds
from pointsman.upstream.client import read_key


@dataclass(frozen=True, slots=True)
class PreparedConfig:
    """A checked config, its classifier, and the warnings that `check` prints.

    `key_line` is the header line with vLLM's API key, `admin_token` the token that the admin port requires over TCP.
    The ports with a certificate speak TLS over TCP. `keys` are the clients', None if they need none.
    """

    config: Config
    classifier: Classifier
    key_line: bytes
    warnings: tuple[str, ...]
    admin_token: bytes | None = None
    certificate: Certificate | None = None
    admin_certificate: Certificate | None = None
    keys: ClientKeys | None = None
    shadow: Artifact | None = None
    """The artifact that classifies without deciding.

    One on the classifier's graph is read in its runs; of another the manifest is read, and the model is loaded later.
    """
    shadow_error: str | None = None
    """The reason why there is none, though the config names one."""
    rolled_back: RolledBack | None = None
    """The rollback of a former release, whose config is served in place of the operator's file."""
    promoted: Promotion | None = None
    """The reason why the classifier is not the one in the config."""
    former: str | None = None
    """The settings that preserve the routes from when thresholds were fitted by default; None if nothing changes."""
    hash_key: bytes = b""
    """The key for hashes in the log and in the file of feedback."""
    idle_examples: Mapping[KeptExample, str] = field(default_factory=dict)
    """Those that were added on the page and do not count, with the reasons."""

    def sha256(self) -> str:
        """Return a hex digest of the config's values, independent of the file's formatting."""
        return hashlib.sha256(msgspec.json.encode(dataclasses.asdict(self.config), order="sorted")).hexdigest()


def prepare(
    path: Path,
    previous: PreparedConfig | None = None,
    *,
    vllm: str | None = None,
    log_level: Level | None = None,
    hash_key: bytes = b"",
    reads: Callable[[Path], object] = lambda _: None,
    text: tuple[bytes, Path] | None = None,
    promoted: Promotion | None = None,
    state: Path | None = None,
) -> PreparedConfig:
    """Read a config file and all files that it names; raises CannotStart.

    The classifier of `previous` is reused if it is the same, its encoder if only heads differ. `vllm`, an address,
    overrides the config's endpoints, and `log_level` its log level; `hash_key` is that of `PreparedConfig`. `reads` is
    called, before reading, with each file that is read again whenever it changes. `text` is a content to serve instead
    of the file's, with its name in problems. `promoted` is the classifier that serves instead of the config's, if it
    still applies. `state` is the state directory, whose kept examples are added to the config's.
    """
    reads(path)
    data, origin = text or (content(path), path)
    loaded = load_text(decoded(data, origin), path, origin, reads)
    config, promoted = with_classifier(loaded.config, promoted)
    loaded = dataclasses.replace(loaded, config=config)
    for file in config.pointsman.server.tls_files:
        reads(Path(file))
    if state is not None:
        reads(state / kept_examples.NAME)
    keys = _keys(config, reads)
    found = _artifact(config.classifier.category_model.model_id, loaded)
    labels, describes = found.manifest.labels, found.manifest.features is not None
    kept = kept_examples.added(config, labels, state, describes=describes)
    config = kept.config
    loaded = dataclasses.replace(loaded, config=config)
    shadow = _shadow(loaded, found)
    findings = lint(loaded, labels, shadow=shadow.labels, describes=describes)
    if findings.errors:
        raise ConfigError(str(origin), findings.errors)
    warnings = [] if promoted is None else [promoted.describe()]
    warnings += kept.warnings
    of_categories = thresholds(config, labels, found.calibration)
    about_thresholds = threshold_problems.problems(loaded, of_categories, found.calibration)
    warnings += [problem.render(str(origin)) for problem in (*findings.warnings, *shadow.warnings, *about_thresholds)]
    former = threshold_problems.former(loaded, labels, found.calibration)
    if keys is not None:
        warnings += [problem.render(config.pointsman.access.keys_file or "") for problem in keys.warnings]
    config = _started(config, vllm, log_level)
    server = config.pointsman.server
    if config.pointsman.tracing.endpoint is not None and not spans.installed():
        raise CannotStart("pointsman.tracing.endpoint: OpenTelemetry is not installed; install pointsman[otel]")
    key_line = read_key(config.pointsman.relay.api_key_file)
    token_file = server.admin_token_file
    token = None if token_file is None else read_secret(token_file, "pointsman.server.admin_token_file")
    certificates = (_certificate(server.tls), _certificate(server.admin_tls))
    warnings += kept_encoder.keep(found)
    # Last, as it would have to be closed if anything else failed.
    classifier, trouble = _classifier(config, found, shadow.inside, previous, hash_key, warnings.append)
    if trouble is not None:
        shadow = _ShadowArtifact(error=trouble)
        warnings.append(shadow_unread(loaded, trouble).render(str(origin)))
    return PreparedConfig(
        config,
        classifier,
        key_line,
        tuple(warnings),
        token,
        *certificates,
        None if keys is None else keys.keys,
        shadow.artifact,
        shadow.error,
        promoted=promoted,
        former=None if former is None else former.render(str(origin)),
        hash_key=hash_key,
        idle_examples=kept.idle,
    )


def _classifier(
    config: Config,
    found: Artifact,
    shadow: Artifact | None,
    previous: PreparedConfig | None,
    hash_key: bytes,
    warn: Callable[[str], object],
) -> tuple[Classifier, str | None]:
    """Return the classifier, with the encoder of `previous` if that has its graph; `shadow` is read in its runs.

    If the shadow cannot be proven, return why.
    """
    before = previous.classifier if previous is not None and _serves(previous, config, found) else None
    encoder = load_encoder(config, found.encoder, hash_key) if before is None else before.encoder
    try:
        if found.base is not None and (before is None or before.artifact != found):
            encoder.prove(found)
        shadow, trouble = _proven(encoder, shadow, before)
        known = None if previous is None else previous.classifier.head
        head = make_head(config, found, encoder.features, known, warn)
        second = None if shadow is None else (shadow, make_head(config, shadow, encoder.features, head, warn))
        made = Classifier(encoder, found, head, second)
    except BaseException:  # whatever failed: nothing else would close the new encoder
        if before is None:
            encoder.close()
        raise
    if before is not None and (before.artifact, before.heads.key) == (found, made.heads.key):
        return before, trouble
    return made, trouble


def _proven(encoder: Encoder, shadow: Artifact | None, before: Classifier | None) -> tuple[Artifact | None, str | None]:
    """Return an artifact for the shadow if it answers as it did when it was made, or why it does not."""
    known = None if before is None or before.heads.shadow is None else before.heads.shadow.artifact
    if shadow is not None and shadow.base is not None and shadow != known:
        try:
            encoder.prove(shadow)
        except ArtifactError as error:
            return None, str(error)
    return shadow, None


def _started(config: Config, vllm: str | None, log_level: Level | None) -> Config:
    """Return the served config: with the options of the command line, and with an address for the admin port."""
    if vllm is not None:
        config = _on(vllm, config)
        refuse_loops(config)
    options = config.pointsman
    log = options.log if log_level is None else dataclasses.replace(options.log, level=log_level)
    server = with_admin_address(options.server, files.runtime_directory())
    return dataclasses.replace(config, pointsman=dataclasses.replace(options, log=log, server=server))


def _certificate(options: TlsOptions | None) -> Certificate | None:
    try:
        return None if options is None else read_certificate(options)
    except BadCertificate as error:  # it was good a moment ago
        raise CannotStart(f"pointsman.server: {error}") from error


def _keys(config: Config, reads: Callable[[Path], object]) -> KeyFile | None:
    """Read the file of client keys, if there is one; raises CannotStart."""
    if config.pointsman.access.keys_file is None:
        return None
    file = Path(config.pointsman.access.keys_file)
    reads(file)
    try:
        found = load_keys(file, config)
    except OSError as error:
        raise CannotStart(
            f"pointsman.access.keys_file: {file} cannot be read ({error.strerror}); check path and permissions, or "
            "write it with `pointsman keys add NAME`"
        ) from error
    if found.errors:
        raise ConfigError(str(file), found.errors)
    return found


def refuse_strangers(config: Config, addresses: Iterable[str]) -> None:
    """Raise CannotStart if anyone who reaches one of our listeners' `addresses` would be served with vLLM's key."""
    for text in addresses:
        if serves_strangers(config, text):
            raise CannotStart(f"{text} {REACHABLE}; {KEEP_OUT}")


def _artifact(model_id: str, loaded: LoadedConfig) -> Artifact:
    folder = artifact.resolve(model_id, loaded.folder)
    limit_s = loaded.config.pointsman.classifier.load_timeout_ms / 1000
    return in_time(limit_s, folder, lambda: artifact.load(folder))


class _ShadowArtifact(NamedTuple):
    """The artifact for the classifier in shadow, or why it cannot run: the service starts anyway."""

    artifact: Artifact | None = None
    error: str | None = None
    warnings: Sequence[Problem] = ()
    inside: Artifact | None = None
    """The same, if it has the classifier's graph."""

    @property
    def labels(self) -> Sequence[str]:
        return () if self.artifact is None else self.artifact.manifest.labels


def _shadow(loaded: LoadedConfig, serving: Artifact) -> _ShadowArtifact:
    """Return the config's classifier in shadow.

    Without the graph of `serving`, only manifest and calibration, which are small, are read: the model is read and
    verified in the background.
    """
    model_id = loaded.config.pointsman.classifier.shadow
    if model_id is None:
        return _ShadowArtifact()
    try:
        folder = artifact.resolve(model_id, loaded.folder)
        manifest = artifact.read_manifest(folder)
        if not manifest.labels:
            return _unread(loaded, f"{folder}: has no labels to compare; fit a head on it")
        inside = _artifact(model_id, loaded) if manifest.graph == serving.manifest.graph else None
        found = inside or Artifact(folder, manifest, artifact.read_calibration(folder, manifest))
    except ArtifactError as error:
        return _unread(loaded, str(error))
    return _ShadowArtifact(found, warnings=lint_shadow(loaded, manifest.labels), inside=inside)


def _unread(loaded: LoadedConfig, why: str) -> _ShadowArtifact:
    return _ShadowArtifact(error=why, warnings=[shadow_unread(loaded, why)])


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


def _serves(previous: PreparedConfig, config: Config, found: Artifact) -> bool:
    """Return whether the encoder of `previous` can be reused: same files, same options."""
    before, encoder = previous.config, previous.classifier.encoder
    return (
        encoder.healthy
        and encoder.artifact.manifest == found.encoder.manifest
        and _deciding(before) == _deciding(config)
        and before.classifier.category_model.use_cpu == config.classifier.category_model.use_cpu
    )


def _deciding(config: Config) -> ClassifierOptions:
    return dataclasses.replace(config.pointsman.classifier, shadow=None)
