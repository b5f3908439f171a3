# The front end; the work is in CMake, scripts/ and tests/. `make help` lists the targets.
CONFIG ?= default
JOBS ?= $(shell nproc)
PYTHON := /usr/bin/python3
CONFIGS := $(sort $(basename $(notdir $(wildcard configs/*.config))))
KERNELS := $(CONFIGS:%=kernel-%)
DEMO ?= /usr/bin/python3 -c 'import os, sys; print("hello from Python", sys.version.split()[0], "on", os.uname().sysname)'

.DEFAULT_GOAL := help
.PHONY: help run test test-programs check bench fuzz fmt menuconfig docs size kernel kernels host tool setup clean \
        setup-build $(KERNELS)

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: tool kernel-default ## build what is needed and run an unmodified program (DEMO) in a virtual machine
	@scripts/setup.sh run
	build/bin/kiln run $(DEMO)

test: kernels host ## unit tests, guest tests under QEMU, conformance, the quick programs
	@scripts/setup.sh run test
	@$(PYTHON) scripts/test.py

test-programs: kernel-default tool ## every program of the list, from Debian's packages (long)
	@scripts/setup.sh run test
	@tests/run-programs.sh all

check: setup-build ## format, layers and includes, symbols, headers by themselves, clang-tidy
	@scripts/setup.sh host check
	@JOBS=$(JOBS) scripts/check.sh

bench: kernels tool ## measure against BUDGETS.md; writes build/bench.json
	@scripts/setup.sh run
	@$(PYTHON) tests/bench/run.py

fuzz: setup-build ## run each fuzzer for FUZZ_SECONDS (default 10)
	@scripts/setup.sh fuzz host
	@JOBS=$(JOBS) scripts/fuzz.sh

fmt: ## format all C++ sources
	@scripts/setup.sh check
	@git ls-files -co --exclude-standard '*.cpp' '*.hpp' | xargs clang-format -i

menuconfig: setup-build ## edit configs/CONFIG.config
	@$(PYTHON) scripts/kconfig.py menuconfig --srctree . --config configs/$(CONFIG).config

docs: ## generate docs/syscalls/
	@scripts/docs.sh

size: kernel ## bytes per library of CONFIG
	@$(PYTHON) scripts/size.py build/kernel/$(CONFIG)/kiln.elf.dbg.map

kernel: kernel-$(CONFIG) ## build the kernel of CONFIG (default: default) into build/kernel/CONFIG

kernels: $(KERNELS) ## build the kernels of all configurations

$(KERNELS): kernel-%: setup-build
	@scripts/configure.sh build/kernel/$* -DKILN_TARGET=guest -DKILN_CONFIG=$*
	@ninja -C build/kernel/$* -j$(JOBS) --quiet

host: setup-build ## build tools, host libraries and unit tests
	@scripts/setup.sh host
	@scripts/configure.sh build/host -DKILN_TARGET=host
	@ninja -C build/host -j$(JOBS) --quiet

tool: setup-build ## build build/bin/kiln alone
	@scripts/setup.sh host
	@scripts/configure.sh build/host -DKILN_TARGET=host
	@ninja -C build/host -j$(JOBS) --quiet kiln

setup: ## install every package that any of these targets needs
	@scripts/setup.sh build host run test check fuzz

setup-build:
	@scripts/setup.sh build

clean: ## remove build/
	@rm -rf build
