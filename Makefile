# The two commands of a fresh machine: `make run` and `make test`.
PYTHON ?= python3
CONFIG ?= config/config.yaml
WORK ?= .cache/inference
RELAY ?= .cache/relay
SHARE ?= 1
CHAOS_SECONDS ?= 600
PREFIX ?= /opt/pointsman
EXTRA ?= cpu
UNITS = /usr/lib/systemd/system
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run run-vllm test lint wheel docs coverage mutants install uninstall
.PHONY: bench-startup bench-accuracy bench-inference bench-relay bench-reload bench-service chaos clean

# The service on 127.0.0.1:8080, with a stand-in for vLLM unless VLLM=host:port names a real one.
run: .venv/installed
	.venv/bin/pointsman serve --config $(CONFIG) $(if $(VLLM),--vllm $(VLLM),--demo)

# The same in front of a real vLLM on CPU that serves a tiny random Llama with three LoRA adapters.
run-vllm: .venv/installed
	PYTHONPATH=tests .venv/bin/python -m support.run_vllm

# Everything, as CI runs it: lint, types, and all tests on the built wheel, with a real vLLM.
test: lint wheel
	tests/support/install_vllm.sh .venv-vllm
	.venv-test/bin/python -m pytest

lint: .venv-test/installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	PYTHONPATH=daemon .venv-test/bin/python -m pointsman.config.reference --check

# All tests, and which lines and branches none of them runs, in the daemons that they start too.
coverage: wheel
	tests/support/install_vllm.sh .venv-vllm
	rm -rf .cache/coverage
	COVERAGE_FILE=$(CURDIR)/.cache/coverage/data .venv-test/bin/python -m coverage run -m pytest $(TESTS)
	COVERAGE_FILE=$(CURDIR)/.cache/coverage/data .venv-test/bin/python -m coverage combine --quiet
	COVERAGE_FILE=$(CURDIR)/.cache/coverage/data .venv-test/bin/python -m coverage report

# Breaks a copy of the daemon in hundreds of small ways, to see whether a test notices: an hour on two cores. It goes on
# where it was stopped; AGAIN=1 tries the survivors anew.
mutants: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m mutants .cache/mutants $(if $(AGAIN),--again)

# Builds the wheel and installs it where the tests run.
wheel: .venv-test/installed
	rm -rf dist
	.venv-test/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	.venv-test/bin/pip install --quiet --no-deps --force-reinstall dist/*.whl

# What is generated from the code: the configuration reference, the JSON schema, the benchmark report.
docs: .venv-test/installed
	PYTHONPATH=daemon .venv-test/bin/python -m pointsman.config.reference
	.venv-test/bin/python benchmarks/report.py

# As root; EXTRA=gpu for CUDA. DESTDIR is a folder to install under, for packages and tests.
install:
	$(PYTHON) -m venv $(DESTDIR)$(PREFIX)
	$(DESTDIR)$(PREFIX)/bin/pip install --quiet --upgrade '.[$(EXTRA)]'
	$(if $(DESTDIR),sed -i '1s|^#!$(DESTDIR)|#!|' $(DESTDIR)$(PREFIX)/bin/pointsman)
	install -d $(addprefix $(DESTDIR),/etc/pointsman $(UNITS) /usr/lib/sysusers.d $(PREFIX)/share/pointsman)
	test -e $(DESTDIR)/etc/pointsman/config.yaml || install -m 644 config/config.yaml $(DESTDIR)/etc/pointsman
	sed 's|@PREFIX@|$(PREFIX)|' systemd/pointsman.service > $(DESTDIR)$(UNITS)/pointsman.service
	install -m 644 systemd/pointsman.socket $(DESTDIR)$(UNITS)
	install -m 644 systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/pointsman.conf
	install -m 644 systemd/drop-ins/*.conf $(DESTDIR)$(PREFIX)/share/pointsman
	$(if $(DESTDIR),,systemd-sysusers pointsman.conf && systemctl daemon-reload)

# Leaves /etc/pointsman, /var/lib/pointsman and the user.
uninstall:
	$(if $(DESTDIR),,systemctl disable --now pointsman.service pointsman.socket)
	rm -rf $(DESTDIR)$(PREFIX)
	rm -f $(addprefix $(DESTDIR),$(UNITS)/pointsman.service $(UNITS)/pointsman.socket /usr/lib/sysusers.d/pointsman.conf)
	$(if $(DESTDIR),,systemctl daemon-reload)

bench-startup: .venv/installed
	.venv/bin/python benchmarks/startup.py

# DATA=folder judges the dev_ files there as well.
bench-accuracy: .venv/installed
	.venv/bin/python benchmarks/accuracy.py $(DATA)

# Beside its peers: 12 GB in WORK for their venvs and for models, and 25 minutes on a quiet machine once those are made.
bench-inference: wheel
	-PYTHON=$(PYTHON) benchmarks/inference/peers/install.sh $(WORK)/peers
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m inference $(WORK)

# Beside other proxies: 1.2 GB in RELAY for them, and 15 minutes on a quiet machine; SHARE=0.1 tries it out.
# BEFORE=PYTHON also measures the Pointsman that this Python has installed.
bench-relay: wheel
	-PYTHON=$(PYTHON) benchmarks/relay/peers/install.sh $(RELAY)/peers
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m relay $(RELAY) --share $(SHARE) $(if $(BEFORE),--before $(BEFORE))

# Fifty reloads under load.
bench-reload: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/reload.py

# Restarts under load, and how exposed the unit is.
bench-service: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python benchmarks/service.py

# Random clients against random upstreams: nothing may be lost. CHAOS_SECONDS=60 is a short one, which writes no result.
chaos: wheel
	PYTHONPATH=benchmarks:tests .venv-test/bin/python -m chaos --seconds $(CHAOS_SECONDS)

.venv/installed: pyproject.toml
	@echo "Installing Pointsman and what it needs into .venv: a minute or two, this once."
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --editable '.[cpu]'
	touch $@

.venv-test/installed: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --upgrade 'pip>=25.1'
	.venv-test/bin/pip install --quiet '.[cpu,export]' --group test --group lint --group build
	touch $@

clean:
	rm -rf .venv .venv-test .venv-vllm .cache dist
