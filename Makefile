# The front end; the work is in CMake, scripts/ and tests/. `make help` lists the targets.
CONFIG ?= default
JOBS ?= $(shell nproc)
PYTHON := /usr/bin/python3
KERNEL := build/kernel/$(CONFIG)

.DEFAULT_GOAL := help
.PHONY: help setup kernel host tool clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## install the packages that building needs
	@scripts/setup.sh build

kernel: setup ## build the kernel of CONFIG (default: default) into build/kernel/CONFIG
	@scripts/configure.sh $(KERNEL) -DKILN_TARGET=guest -DKILN_CONFIG=$(CONFIG)
	@ninja -C $(KERNEL) -j$(JOBS)

host: setup ## build tools, host libraries and unit tests into build/host
	@scripts/configure.sh build/host -DKILN_TARGET=host
	@ninja -C build/host -j$(JOBS)

clean: ## remove build/
	@rm -rf build
