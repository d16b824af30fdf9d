# hwgw: every step of working on the tree. SPDX-License-Identifier: MIT
#
# Stamps in build/ and .venv/ say what is done, so that a second `make demo` starts at once and a changed source is
# compiled again.

PYTHON ?= python3
SECONDS ?= 60
SEEDS ?= 10000
EVENTS ?= 1000000
ARGS ?=

venv := .venv
bin := $(venv)/bin
deps_stamp := build/deps.stamp
venv_stamp := $(venv)/venv.stamp
build_stamp := $(venv)/build.stamp

bench_stamp := $(venv)/bench.stamp
peers_stamp := $(venv)/peers.stamp
promtool := .deps/prometheus/usr/bin/promtool
nats_server := .deps/nats/usr/bin/nats-server
formal_stamp := $(venv)/formal.stamp

# what the native modules are made from; a package's __init__.py counts because the editable install lists them
c_sources := $(shell find cffi_build sim -name '*.[ch]' -o -name '*.py' -path 'cffi_build/*' -o -name '*.cmake' \
               -o -name CMakeLists.txt) $(wildcard hwgw/specs/*.yaml hwgw/specs/*.py)
packages := $(shell find hwgw sim -name __init__.py)
native_inputs := pyproject.toml CMakeLists.txt $(c_sources) $(packages)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: ansible ansible-check deb deb-check nats determinism site wheel lock sbom promtool browser screenshots tune-kill tuned help deps venv build demo test bench bench-rx ledger soak cycles drill crash lint fuzz books seeds docs clean soak-risk mutants journal-proof rtl formal synth mutants-rtl
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@echo "make demo CARD=sim          the same with the card's RTL, simulated, as the receiver"
	@echo "make demo                   build, then the simulated exchange against the gateway: a live panel and a report"
	@echo "make test [ARGS='-k risk']  build, then the whole test suite (ARGS go to pytest)"
	@echo "make bench [JSON=out.json] [FILE=stream.itch50]   benchmarks at full size"
	@echo "make bench-rx [JSON=out.json]   every way to receive, by turns on one wire (root)"
	@echo "make ledger                 every receive backend under every cause of loss; writes the table of docs/receive.md"
	@echo "make soak [SECONDS=3600] [JSON=out.json]   a gateway at 80 % load: memory flat, no allocation, ledger exact"
	@echo "make fuzz [SECONDS=60]      every fuzz target for that long, under sanitizers (clang)"
	@echo "make drill [SECONDS=60]     one feed line dead for that long, then both: no gap; refusals, then recovery"
	@echo "make cycles [N=100]         kill -9 under load and start again, so many times: nothing may be left"
	@echo "make determinism [N=100]    one feed, one strategy, one seed: so many backtests, two at a time, give one journal"
	@echo "make books [MESSAGES=1000000000]  our books against those of the simulated exchange, day by day, each of 5 M messages"
	@echo "make seeds [SEEDS=10000]    the feed side under so many seeds of faults, under sanitizers: never a wrong book"
	@echo "make soak-risk [EVENTS=1000000 RTL_EVENTS=EVENTS JSON=out.json]  the gate: C against golden model and Verilog, breakers, every short sequence"
	@echo "make mutants                the gate's C code changed in one place at a time: how many changes its tests notice"
	@echo "make mutants-rtl [ARGS='--every 3']  the same for the gate's Verilog: all changes in one model, which is compiled once"
	@echo "make rtl [JSON=out.json]    the card's Verilog in simulation, at full length: events compared, coverage, latency"
	@echo "make formal [JSON=out.json] the proofs on the card's Verilog, each with a planted bug that it has to find"
	@echo "make synth [JSON=out.json]  the modules of the card placed and routed for ECP5 over three seeds, and mapped for UltraScale+"
	@echo "make promtool               Prometheus' own tool from Debian, unpacked to .deps/prometheus, for the tests of metrics"
	@echo "make nats                   Debian's nats-server, unpacked to .deps/nats, for the tests of hwgw relay --nats"
	@echo "make screenshots            the pictures of docs/, drawn anew from a gateway that trades with the simulated exchange"
	@echo "make browser                Debian's Chromium and its driver, for the tests of hwgw serve (root)"
	@echo "make peers                  what order entry and backtests are tested with: nasdaq-protocols, simplefix, soupbintcp, hftbacktest"
	@echo "make tuned                  TuneD from Debian, unpacked to .deps/tuned, for the comparison in docs/TUNE.md"
	@echo "make tune-kill              kill -9 at every write of a whole hwgw tune apply and rollback, on a made host"
	@echo "make journal-proof          every byte of a journal changed, deleted, swapped: all of it found"
	@echo "make crash [N=200]          a gateway under load killed N times, compared with the venue after each"
	@echo "make wheel                  a wheel of this tree in dist/"
	@echo "make ansible-check          the Ansible role: linted, then a fleet of made hosts: check mode, twice, a batch that fails"
	@echo "make deb, make deb-check    a Debian package in dist/; lintian, and a life in a fresh system: installed, upgraded, purged (root)"
	@echo "make lock, make sbom        hashes of the pinned packages, and a CycloneDX bill of materials in dist/"
	@echo "make lint                   formatting, static checks and types"
	@echo "make docs                   docs/protocols: a page per wire format and record, from the tables"
	@echo "make site                   the documentation as a site in build/site (mkdocs-material, in a venv of its own)"
	@echo "make build                  .venv with the native module in it; .venv/bin/hwgw runs this tree"
	@echo "make venv                   .venv with the pinned packages"
	@echo "make deps                   Debian packages that are missing (apt when root)"
	@echo "make clean                  removes what was built: build/ dist/ .venv/ and caches"

deps: $(deps_stamp)
$(deps_stamp): deploy/deps.sh
	@PYTHON=$(PYTHON) deploy/deps.sh
	@mkdir -p $(@D) && touch $@

venv: $(venv_stamp)
$(venv_stamp): requirements.txt fpga/requirements.txt | $(deps_stamp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "venv: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "venv: installing the pinned packages into $(venv)"
	@$(PYTHON) -m venv $(venv)
	@$(bin)/pip install --quiet --no-compile -r requirements.txt
	@$(bin)/pip install --quiet --no-compile --no-deps --ignore-requires-python -r fpga/requirements.txt
	@touch $@

build: $(build_stamp)
$(build_stamp): $(native_inputs) $(venv_stamp)
	@echo "build: compiling the native modules"
	@$(bin)/pip install --quiet --no-build-isolation --no-deps --no-compile --editable . --config-settings=build-dir=build/dev
	@touch $@

demo: $(build_stamp)
	@$(bin)/hwgw demo $(if $(CARD),--card '$(CARD)') $(if $(RISK),--risk '$(RISK)') $(if $(SEND),--send '$(SEND)') $(ARGS)

# what needs the host for itself stays in one process (tests/conftest.py), the rest takes the other cores
side_by_side := $(if $(filter 1,$(shell nproc)),,--numprocesses=auto --maxprocesses=4 --dist=loadscope)

# programs of others that order entry and backtests are tested with; without them those tests are left out and say so
peers: $(peers_stamp)
$(peers_stamp): tests/peers/requirements.txt tests/peers/requirements-queue.txt tests/peers/package.json $(venv_stamp)
	@echo "peers: installing what order entry and backtests are tested with"
	@rm -rf build/peers/queue && $(bin)/pip install --quiet --no-compile --no-deps --target build/peers/queue \
	  -r tests/peers/requirements-queue.txt || echo "peers: hftbacktest is not to be had from PyPI, left out"
	@$(bin)/pip install --quiet --no-compile --no-deps -r $< && touch $@ || echo "peers: not to be had from PyPI, left out"
	@mkdir -p build/peers && cp tests/peers/package.json build/peers && ! command -v npm >/dev/null || \
	  npm install --silent --no-audit --no-fund --prefix build/peers || echo "peers: not to be had from npm, left out"

# as root what the tests of metrics and of the relay need comes with them; without it they are skipped and say so
test: $(build_stamp) $(peers_stamp) $(if $(filter 0,$(shell id -u)),$(promtool) $(nats_server))
	@echo "test: pytest $(side_by_side) $(ARGS)"
	@$(bin)/python -m pytest $(side_by_side) $(ARGS)

# peers to compare with; without them their figures are left out
$(bench_stamp): tests/bench/requirements.txt $(venv_stamp)
	@echo "bench: installing what is compared with"
	@$(bin)/pip install --quiet --no-compile -r $< && touch $@ || echo "bench: not to be had, left out"

bench: $(build_stamp) $(bench_stamp)
	@echo "bench: full size, a few minutes"
	@$(bin)/python -m tests.bench $(if $(JSON),--output '$(JSON)') $(if $(FILE),--file '$(FILE)') $(ARGS)

bench-rx: $(build_stamp)
	@echo "bench-rx: full size, some ten minutes"
	@$(bin)/python -m tests.bench rx $(if $(JSON),--output '$(JSON)') $(ARGS)

ledger: $(build_stamp)
	@echo "ledger: needs root"
	@PYTHONPATH=tests $(bin)/python -m support.ledger_causes docs/receive.md

# an hour unless SECONDS was given
soak_seconds = $(if $(filter file,$(origin SECONDS)),3600,$(SECONDS))
soak: $(build_stamp)
	@echo "soak: $(soak_seconds) s, after finding the rate"
	@PYTHONPATH=tests $(bin)/python -m support.soak --seconds $(soak_seconds) $(if $(JSON),--json '$(JSON)') $(ARGS)

drill_seconds = $(if $(filter file,$(origin SECONDS)),60,$(SECONDS))
drill: $(build_stamp)
	@echo "drill: one line dead for $(drill_seconds) s, then both"
	@PYTHONPATH=tests $(bin)/python -m support.drill --seconds $(drill_seconds)

cycles: $(build_stamp)
	@echo "cycles: $(or $(N),100) times kill -9 and start again"
	@HWGW_CYCLES=$(or $(N),100) $(bin)/python -m pytest tests/system/test_kill.py -q -k again_and_again $(ARGS)

determinism: $(build_stamp)
	@echo "determinism: $(or $(N),100) backtests, two at a time"
	@HWGW_RUNS=$(or $(N),100) $(bin)/python -m pytest tests/unit/test_backtest.py -q -k one_journal $(ARGS)

# 360 MB that nothing else needs
$(formal_stamp): fpga/requirements-formal.txt $(venv_stamp)
	@echo "venv: installing what proves and synthesizes"
	@$(bin)/pip install --quiet --no-compile -r $<
	@touch $@

rtl: $(build_stamp)
	@echo "rtl: every bench at full length"
	@rm -rf build/rtl/coverage
	@HWGW_RTL_FULL=1 HWGW_RTL_JSON='$(if $(JSON),$(abspath $(JSON)))' $(bin)/python -m pytest tests/rtl $(ARGS)
	@PYTHONPATH=.:tests $(bin)/python -m support.rtl_coverage '$(if $(JSON),$(abspath $(JSON)))'

formal: $(build_stamp) $(formal_stamp)
	@echo "formal: every proof and its planted bug, some minutes"
	@$(bin)/python -m fpga.formal $(if $(JSON),--json '$(JSON)') $(ARGS)

synth: $(build_stamp) $(formal_stamp)
	@echo "synth: every module by itself, three seeds"
	@$(bin)/python -m fpga.synth $(if $(JSON),--json '$(JSON)') $(ARGS)

# TuneD to compare with, unpacked, not installed
tuned_packages := tuned ethtool virt-what gir1.2-glib-2.0 libgirepository-1.0-1 python3-gi python3-dbus python3-pyudev \
  python3-linux-procfs python3-schedutils python3-ethtool python3-configobj python3-decorator
tuned:
	@mkdir -p .deps/tuned && cd .deps/tuned && apt-get download -q $(tuned_packages) >/dev/null 2>&1 && \
	  for package in *.deb; do dpkg -x $$package . && rm $$package; done && echo "tuned: unpacked to .deps/tuned"

# one file out of Debian's package, which would start a server
promtool: $(promtool)
	@test -x $(promtool) || { echo "promtool: not to be had (apt-get download prometheus)" >&2; exit 1; }
$(promtool):
	@mkdir -p .deps/prometheus && cd .deps/prometheus && if command -v promtool >/dev/null; then \
	  mkdir -p usr/bin && ln -sf "$$(command -v promtool)" usr/bin/promtool; \
	elif apt-get download -q prometheus >/dev/null 2>&1; then \
	  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool; rm prometheus_*.deb; touch usr/bin/promtool; \
	else echo "promtool: not to be had, left out"; fi

# one file out of Debian's package, which would start a server
nats: $(nats_server)
	@test -x $(nats_server) || { echo "nats: not to be had (apt-get download nats-server)" >&2; exit 1; }
$(nats_server):
	@mkdir -p .deps/nats && cd .deps/nats && if command -v nats-server >/dev/null; then \
	  mkdir -p usr/bin && ln -sf "$$(command -v nats-server)" usr/bin/nats-server; \
	elif apt-get download -q nats-server >/dev/null 2>&1; then \
	  dpkg-deb --fsys-tarfile nats-server_*.deb | tar -x --wildcards '*/nats-server' && rm nats-server_*.deb; \
	  test -x usr/bin/nats-server || { mkdir -p usr/bin && mv usr/sbin/nats-server usr/bin/; }; touch usr/bin/nats-server; \
	else echo "nats: not to be had, left out"; fi

screenshots: $(build_stamp)
	@PYTHONPATH=tests $(bin)/python -m support.screenshots docs

browser:
	@apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 chromium chromium-driver >/dev/null && \
	  echo "browser: $$(chromium --version --no-sandbox)"

# the short form is in the tests: a profile with a knob of every kind
tune-kill: $(build_stamp)
	@echo "tune-kill: kill -9 at every write of the whole latency profile and of its rollback"
	@HWGW_KILL_PROFILE=latency $(bin)/python -m pytest tests/unit/test_tune_kill.py -q -s $(ARGS)

lint: $(build_stamp)
	@echo "lint: ruff, mypy, clang-format, verilator"
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/mypy
	@git ls-files -z '*.c' '*.h' | xargs -0 -r $(bin)/clang-format --dry-run -Werror
	@test ! -e fpga/gen.py || $(bin)/python -m fpga.tools lint

wheel: $(venv_stamp)
	@$(bin)/python -m build --wheel --no-isolation --outdir dist

# the role of deploy/ansible: linted, and run against made hosts of this machine
ansible: build/ansible-venv/stamp
build/ansible-venv/stamp: deploy/ansible/requirements.txt
	@$(PYTHON) -m venv build/ansible-venv && build/ansible-venv/bin/pip install --quiet -r $< && touch $@
ansible-check: $(build_stamp) build/ansible-venv/stamp
	@cd deploy/ansible && PATH="$(abspath build/ansible-venv/bin):$$PATH" ansible-lint -q --offline
	@HWGW_ANSIBLE=$(abspath build/ansible-venv/bin/ansible-playbook) $(bin)/python -m pytest tests/system/test_ansible.py -q $(ARGS)

# a Debian package with the pinned packages in it; needs debhelper and clang
deb: $(build_stamp)
	@command -v dh >/dev/null || { echo "deb: needs debhelper (apt-get install debhelper)" >&2; exit 1; }
	@$(bin)/python deploy/deb.py

# lintian, and the package's whole life in a fresh system
deb-check: deb
	@deploy/deb_check.sh dist/hwgw_*.deb

lock: $(venv_stamp)
	@mkdir -p build
	@$(bin)/pip install --quiet --dry-run --no-deps --ignore-installed --report build/pins.json -r requirements.txt
	@$(bin)/python deploy/sbom.py lock build/pins.json requirements.txt >build/requirements.lock
	@mv build/requirements.lock deploy/requirements.lock && echo "lock: deploy/requirements.lock"

sbom: $(venv_stamp)
	@mkdir -p dist
	@$(bin)/python deploy/sbom.py bom deploy/requirements.lock requirements.txt >dist/hwgw.cdx.json && echo "sbom: dist/hwgw.cdx.json"

journal-proof: $(build_stamp)
	@echo "journal-proof: every byte of a journal of 1,000 records, every byte of a write; some minutes"
	@HWGW_JOURNAL_RECORDS=1000 HWGW_JOURNAL_STEP=1 $(bin)/python -m pytest tests/unit/test_journal.py -q $(ARGS)

N ?= 200
crash: $(build_stamp)
	@echo "crash: kill -9 of a gateway under load, $(N) times; about 7 s each"
	@HWGW_CRASHES=$(N) $(bin)/python -m pytest tests/system/test_recovery.py -q -s $(ARGS)

fuzz: $(build_stamp)
	@command -v clang >/dev/null || { echo "fuzz: needs clang (make deps)" >&2; exit 1; }
	@echo "fuzz: every target for $(SECONDS) s"
	@mkdir -p build
	@$(bin)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang -DHWGW_FUZZ=ON \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(bin))/ninja -DPython_EXECUTABLE=$(abspath $(bin))/python >build/fuzz.log || \
	  { cat build/fuzz.log >&2; exit 1; }
	@$(bin)/cmake --build build/fuzz
	@set -e; for source in tests/fuzz/fuzz_*.c; do \
	  name=$$(basename $$source .c); corpus=build/corpus/$$name; mkdir -p $$corpus; \
	  echo "fuzz: $$name"; \
	  build/fuzz/bin/$$name -max_total_time=$(SECONDS) -print_final_stats=1 -artifact_prefix=build/$$name- $$corpus \
	    $$(test -d tests/fuzz/corpus/$$name && echo tests/fuzz/corpus/$$name); \
	done

books: $(build_stamp)
	@echo "books: $(or $(MESSAGES),1000000000) messages, some 5 M in three seconds of two processors"
	@PYTHONPATH=tests $(bin)/python -m support.books_long --messages $(or $(MESSAGES),1000000000) $(ARGS)

seeds: $(build_stamp)
	@echo "seeds: the feed side under $(SEEDS) seeds of faults"
	@mkdir -p build
	@$(bin)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Release -DHWGW_SANITIZE=ON \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(bin))/ninja -DPython_EXECUTABLE=$(abspath $(bin))/python >build/seeds.log || \
	  { cat build/seeds.log >&2; exit 1; }
	@$(bin)/cmake --build build/sanitize --target test_feed
	@HWGW_SEEDS=$(SEEDS) build/sanitize/bin/test_feed

soak-risk: $(build_stamp)
	@echo "soak-risk: $(EVENTS) events of C against the golden model, every sequence of 6 events, some minutes"
	@HWGW_RISK_EVENTS=$(EVENTS) HWGW_BREAKER_EVENTS=$(EVENTS) HWGW_STATEFUL=500 $(bin)/python -m pytest -q -s --durations=0 \
	  tests/unit/test_risk.py tests/unit/test_breaker.py tests/unit/test_risk_stateful.py -k 'long or random or stateful' $(ARGS)
	@PYTHONPATH=tests $(bin)/python -m support.race_long --events $(or $(RTL_EVENTS),$(EVENTS)) $(if $(JSON),--json '$(JSON)') \
	  $(RTL_ARGS)
	@mkdir -p build
	@$(bin)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Release -DHWGW_SANITIZE=ON \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(bin))/ninja -DPython_EXECUTABLE=$(abspath $(bin))/python >build/seeds.log || \
	  { cat build/seeds.log >&2; exit 1; }
	@$(bin)/cmake --build build/sanitize --target test_risk
	@HWGW_DEPTH=6 build/sanitize/bin/test_risk

mutants: $(build_stamp)
	@echo "mutants: each comparison, sign and constant of the gate's C code changed in turn, some minutes"
	@$(bin)/python -m tests.mutation $(ARGS)

mutants-rtl: $(build_stamp)
	@echo "mutants-rtl: each operator, constant, condition and assignment of the gate's Verilog changed in turn, some 20 minutes"
	@$(bin)/python -m tests.mutation.rtl $(if $(JSON),--output '$(JSON)') $(ARGS)

docs: $(venv_stamp)
	@$(bin)/python -m hwgw.specs.docs docs/protocols
	@$(bin)/python -m hwgw.specs.order_model docs/order-entry.md
	@$(bin)/python -m hwgw.tune.table docs/KNOBS.md
	@$(bin)/python -m hwgw.specs.runbook deploy/prometheus/hwgw.rules.yml docs/protocols/runbook.md

# Markdown as it is in the tree, with the overview as its first page; links into the tree stay text
site: docs
	@test -x build/site-venv/bin/mkdocs || { $(PYTHON) -m venv build/site-venv && \
	  build/site-venv/bin/pip install --quiet -r deploy/site-requirements.txt; }
	@rm -rf build/site-docs && mkdir -p build/site-docs && cp -r docs/. build/site-docs && \
	  sed -e 's#](docs/#](#g' README.md >build/site-docs/index.md
	@NO_MKDOCS_2_WARNING=1 build/site-venv/bin/mkdocs build --quiet && echo "site: build/site/index.html"

clean:
	rm -rf build dist docs/protocols $(venv) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find hwgw sim cffi_build tests -name __pycache__ -type d -prune -exec rm -rf {} +
