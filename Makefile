# Every target sets up what it needs: a virtual environment in .venv, made again when pyproject.toml changes.
# `make PYTHON=/path/to/python3.12 test` chooses the Python, `make test PYTEST="-x -k stream"` what pytest is told.

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The demo needs less than the tests do; where all is set up already, it takes that.
DEMO := $(if $(wildcard $(VENV)/.ready),$(VENV)/.ready,$(VENV)/.demo)
INTEROP := $(VENV)-interop
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One build of the kernel serves the environment and the wheel. What builds it lies in the environment, too, since a
# builder that pip puts in a place of its own would begin anew each time.
KERNEL := -Cbuild-dir=$(CURDIR)/build/kernel
BUILDERS := scikit-build-core $(foreach tool,cmake ninja,$(shell command -v $(tool) >/dev/null || echo $(tool)))
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c '$(OLD_ENOUGH)' >/dev/null 2>&1 && command -v $$name && break; done)
PYTEST ?= -n 2 --dist worksteal

.PHONY: help demo test docs pictures links interop sanitize lint types api breaks licences wheel dist format settings gallery benchmarks accuracy clean distclean
.DEFAULT_GOAL := help

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

demo: $(DEMO) ## fit on six years of traffic; scores, pictures and a report in demo/; then a fortnight of it, live
	table=$$($(BIN)/statecast example interstate_traffic) && \
	$(BIN)/statecast fit "$$table" --config docs/traffic.toml --out demo --force && \
	$(BIN)/statecast replay demo "$$table" --from 2018-06-25 --rows 336

test: $(READY) ## run the tests
	$(BIN)/python -m pytest $(PYTEST)

docs: $(VENV)/.docs ## build the documentation, notebooks included; it begins at build/docs/index.html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --write-all --quiet --jobs 2 -d build/doctrees docs build/docs

pictures: $(READY) ## draw the pictures of the documentation again, by docs/pictures.py
	$(BIN)/python docs/pictures.py

links: $(VENV)/.docs ## ask every address that the documentation names whether it still answers
	$(BIN)/python -m sphinx --quiet --builder linkcheck -d build/doctrees docs build/links

interop: $(INTEROP)/.ready ## run the tests beside PyTorch, Keras, Ray and Spark, and the suites of sktime, aeon, River and others, in an environment that has them
	STATECAST_HEAVY=1 $(INTEROP)/bin/python -m pytest -n 2 $(addprefix tests/test_cluster.py::test_ray_,gives_the_bits_of_one_process does_again_what_killed_workers_had_in_hand keeps_rows_out_of_the_driver names_what_is_at_fault) "tests/test_tuning.py::test_workers_make_the_same_trials[ray]" tests/test_interop_live.py tests/test_examples.py $(addprefix tests/test_interop_,$(addsuffix .py,sktime aeon river mlflow nixtla card docs))
	STATECAST_HEAVY=1 $(INTEROP)/bin/python -m pytest -n 0 tests/test_cluster_spark.py

# JAX is left out: it is not built to run under the address sanitizer.
SANITIZERS = $(foreach name,asan ubsan stdc++,$(shell $(CXX) -print-file-name=lib$(name).so))
sanitize: $(READY) ## run the kernel's tests, and lying model files, under the address and undefined-behaviour sanitizers (GCC)
	cmake -S native -B build/sanitize -DSTATECAST_SANITIZE=ON -DSTATECAST_EMULATE_AMX=ON
	cmake --build build/sanitize -j2
	STATECAST_KERNEL_FILE=$(CURDIR)/build/sanitize/statecast_kernel.so ASAN_OPTIONS=detect_leaks=0 \
		LD_PRELOAD="$(SANITIZERS)" $(BIN)/python -m pytest -q tests/test_kernel*.py tests/test_archive_lies.py -k "not jax"

FORM := $(BIN)/check-jsonschema --quiet --builtin-schema vendor
lint: $(READY) ## check style and format, and the form of workflows, issue forms and citation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(FORM).github-workflows .github/workflows/*.yml
	$(FORM).github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(FORM).github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(FORM).dependabot .github/dependabot.yml
	$(FORM).citation-file-format CITATION.cff

types: $(READY) ## check the types
	$(BIN)/mypy

api: $(READY) ## see that pyright knows the type of every public name
	$(BIN)/python tests/public_names.py types

breaks: $(READY) ## name calls that fitted at REF, the last tag where it is left out, and fit no longer
	$(BIN)/python tests/public_names.py breaks $(or $(REF),$(shell git describe --tags --abbrev=0))

FOLDERS = $(foreach each,$(BIN) $(INTEROP)/bin,$(shell $(each)/python -c '$(SITE)'))
licences: $(INTEROP)/.ready ## write docs/licences.md: the licence of every dependency; ALSO=FOLDER where other packages are
	$(BIN)/python tests/licences.py $(FOLDERS) $(ALSO) > build/licences.md && mv build/licences.md docs/licences.md

format: $(READY) ## put the sources into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

settings: $(READY) ## write what follows from the code: docs/settings.md, docs/commands.md and the estimators' arguments
	$(BIN)/python tests/keywords.py
	$(BIN)/python tests/options_page.py
	$(BIN)/statecast settings --markdown > docs/settings.md

gallery: $(READY) ## run the tutorials' experiments; DATA=DIR for the tables that are not shipped; page in gallery/
	$(BIN)/statecast gallery --out gallery $(if $(DATA),--data $(DATA))

benchmarks: $(READY) ## measure speed and memory; results in benchmarks/results/
	$(BIN)/python benchmarks/start.py

accuracy: $(READY) ## fit the accuracy tables with the defaults, beside other libraries; page in docs/accuracy.md
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/accuracy.py --markdown > docs/accuracy.md

# On top of $(VENV), whose packages it sees, so that neither the kernel nor anything else is made a second time.
SITE = import sysconfig; print(sysconfig.get_path("purelib"))
$(INTEROP)/.ready: tests/requirements-interop.txt $(READY)
	@test -x $(INTEROP)/bin/python || $(BIN)/python -m venv $(INTEROP)
	echo "import site; site.addsitedir('$$($(BIN)/python -c '$(SITE)')')" > "$$($(INTEROP)/bin/python -c '$(SITE)')/below.pth"
	$(INTEROP)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/.docs: docs/requirements.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# On Linux a wheel says, once it is repaired, how old a system it runs on.
wheel: $(READY) ## build the wheel of this platform, which holds the kernel; in dist/
	rm -rf dist/*.whl build/wheel
	STATECAST_REQUIRE_KERNEL=1 $(BIN)/python -m build --no-isolation --wheel --outdir build/wheel $(KERNEL)
	if [ "$$(uname)" = Linux ]; then PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl; \
		else mkdir -p dist && cp build/wheel/*.whl dist; fi

dist: wheel ## what a release publishes, wheel and sources, in dist/; and whether it is fit to be published
	rm -f dist/*.tar.gz
	$(BIN)/python -m build --sdist --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/check_dist.py dist

clean: ## remove what the other targets wrote, but for the virtual environment
	rm -rf demo gallery build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment as well
	rm -rf $(VENV) $(INTEROP)

# The stamp is written last, so that a set-up which was broken off starts again.
$(READY): EXTRAS = all,dev
$(VENV)/.demo: EXTRAS = train,tables,cli,plot,holidays
$(READY) $(VENV)/.demo: pyproject.toml $(wildcard native/*)
	@$(if $(PYTHON),:,echo 'statecast needs Python 3.11 or newer, and none of python3, python3.14 … python3.11 is one; install it, or say: make PYTHON=/path/to/python' >&2; exit 1)
	@$(PYTHON) -c '$(OLD_ENOUGH)' || { echo 'statecast needs Python 3.11 or newer; $(PYTHON) is' "$$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo 'the virtual environment could not be made; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
	$(PIP) $(BUILDERS)
	$(PIP) --no-build-isolation --no-deps $(KERNEL) --editable .
	$(PIP) 'statecast[$(EXTRAS)]'
	@touch $@
