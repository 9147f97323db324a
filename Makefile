# SPDX-License-Identifier: GPL-2.0-only
#
# The front door: everything that can be built or run from this checkout.
# `make help` lists it. Products go to build/ alone; what is costly to make or
# fetch (test kernels) to the cache folder, see selftests/vm/run --help.

VERSION := 0.1.0

# Kernel to build the modules for: the running one's headers, else the newest
# installed. Both are folders that hold a configured build tree.
installed_kdirs := $(shell printf '%s\n' /lib/modules/*/build | sort -rV)
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build $(installed_kdirs)))
# More words for the kernel's make: ARCH=um, O=DIR.
KMAKE ?=

PREFIX ?= /usr/local
# udev does not look in /usr/local/lib before version 253.
UDEV_RULES ?= /lib/udev/rules.d
SYSTEMD_UNITS ?= /lib/systemd/system
DESTDIR ?=
INSTALL_MOD_PATH ?= $(DESTDIR)

KERNELRELEASE = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KOUT)/include/generated/utsrelease.h 2>/dev/null)
# Where the kernel was built: KDIR itself, or the O= of KMAKE.
KOUT = $(or $(patsubst O=%,%,$(filter O=%,$(KMAKE))),$(KDIR))
MODULE_DIRS := dm-live dm-alloctrack dm-cbw
MODULE_BUILD = build/modules/$(KERNELRELEASE)
KBUILD = $(MAKE) -C $(KDIR) $(KMAKE) M=$(abspath $(MODULE_BUILD)) \
	CONFIG_DEBUG_INFO_BTF_MODULES=

# Several builds may run at the same time in one checkout. With -j, the makes below
# work in parallel; what waits for the lock would only hold one of their places.
LOCKED = @mkdir -p build && exec flock build/.lock
.NOTPARALLEL:

.PHONY: help all modules tools test-programs unit test check check-quick check-all bench demo install clean \
	stress static check-in-tree tags compile-commands \
	checkstyle setup modules-locked install-modules install-tools deb

help: ## list the targets
	@echo 'make TARGET [KDIR=...] [PREFIX=...] [DESTDIR=...] [W=1] [C=2]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

all: modules tools ## modules and tools

modules: ## the kernel modules, for the kernel whose build tree is KDIR
	$(if $(KERNELRELEASE),,$(error no kernel headers in KDIR=$(KDIR); \
		apt-get install linux-headers-amd64))
	$(LOCKED) $(MAKE) --no-print-directory modules-locked

# The kernel's build writes beside the sources, so it gets a folder of its own
# for each kernel, with links to them.
modules-locked:
	@scripts/mirror-sources $(MODULE_BUILD)
	+@$(KBUILD) $(if $(V),,-s) modules

tools: ## the dmlive command, build/tools/dmlive
	$(LOCKED) $(MAKE) --no-print-directory -C tools VERSION=$(VERSION)

# SUITE: those of one suite.
test-programs: ## the compiled helpers of the tests, build/selftests/
	$(LOCKED) $(MAKE) --no-print-directory -C selftests programs$(SUITE:%=-%)

unit: ## run the unit tests
	@$(MAKE) --no-print-directory -C selftests/unit run

# Kernels that the suites run on.
# Empty: each suite on the kernel that it is meant for, see selftests/run.
CHECK_KERNELS ?=
ALL_KERNELS := stock uml 6.12 7.2 uml-kasan uml-lockdep

check: ## everything that must hold: style, unit tests, all suites in a VM
	@scripts/setup
	@selftests/run $(CHECK_KERNELS:%=--kernel %)

# Random operations for so long, on this kernel, from this seed on.
SECONDS ?= 3600
STRESS_KERNEL ?= uml
SEED ?= 1

# One test, "make test T=cbw/test-merge.sh" or "T=unit/test-sha256"; K is a kernel.
test: ## one test T, SUITE/NAME, on the kernels that it is meant for or on K
	@scripts/setup
	@selftests/run $(K:%=--kernel %) \
		$(or $(T),$(error T=SUITE/NAME is missing, such as T=unit/test-sha256))

check-quick: ## style of what has changed, unit tests, core tests in one boot
	@scripts/setup
	@selftests/run quick

stress: ## random operations against a byte-exact model, for SECONDS
	@scripts/setup
	@selftests/vm/run --kernel $(STRESS_KERNEL) --timeout $$(($(SECONDS) + 1800)) \
		--env STRESS_SECONDS=$(SECONDS) --env SEED=$(SEED) -- \
		selftests/hostile/test-stress.sh

static: ## gcc -fanalyzer, cppcheck, clang-tidy and coccinelle
	@scripts/setup static
	@scripts/checkstatic

check-in-tree: ## the modules built as a part of the kernel's own tree
	@scripts/setup
	@scripts/check-in-tree

bench: ## measure against dm-clone, dm-snapshot, dm-era and linear; rates of one run compare
	@scripts/setup
	@selftests/vm/run --kernel uml -- selftests/bench/durable-writes
	@selftests/vm/run --kernel uml --timeout 3600 -- selftests/bench/cbw-overwrites
	@selftests/vm/run --kernel uml --timeout 3600 -- selftests/bench/common-path
	@selftests/vm/run --kernel uml --timeout 3600 --mem 3072 -- selftests/bench/incremental-backup
	@selftests/vm/run --kernel stock --timeout 3600 -- selftests/bench/tracked-writes

# A suite takes hours where each instruction is emulated.
check-all: ## all suites on every kernel, and check-in-tree
	@scripts/setup
	@selftests/run --timeout 28800 $(ALL_KERNELS:%=--kernel %)

demo: ## show a live restore, in a VM
	@scripts/setup
	@selftests/e2e/demo

checkstyle: ## checkpatch, sparse and W=1 over all code
	@scripts/setup
	@scripts/checkstyle

tags: ## build/tags (vi) and build/TAGS (Emacs)
	@scripts/setup tags
	@mkdir -p build
	@git ls-files '*.c' '*.h' | ctags --tag-relative=always -f build/tags -L -
	@git ls-files '*.c' '*.h' | ctags -e --tag-relative=always -f build/TAGS -L -

compile-commands: modules ## build/compile_commands.json, for language servers
	@scripts/compile-commands $(MODULE_BUILD) $(KOUT) > build/compile_commands.json.new
	@mv build/compile_commands.json.new build/compile_commands.json

setup: ## install the Debian packages that building and testing need
	@scripts/setup

install: install-modules install-tools ## modules, tool, man pages, udev rules, units, uapi header

install-modules: modules
	$(KBUILD) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) CONFIG_MODULE_SIG_ALL= DEPMOD=true \
		modules_install
ifeq ($(INSTALL_MOD_PATH),)
	depmod $(KERNELRELEASE)
else
	@echo 'not on this system: depmod -b $(INSTALL_MOD_PATH) $(KERNELRELEASE) is left to do'
endif

install-tools: tools
	install -D -m 755 build/tools/dmlive $(DESTDIR)$(PREFIX)/sbin/dmlive
	for page in $(wildcard Documentation/*.[58]); do \
		install -D -m 644 $$page \
			$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit; \
	done
	install -d $(DESTDIR)$(UDEV_RULES)
	for rules in $(wildcard udev/*.rules); do \
		sed 's:@SBINDIR@:$(PREFIX)/sbin:' $$rules > $(DESTDIR)$(UDEV_RULES)/$${rules##*/} && \
			chmod 644 $(DESTDIR)$(UDEV_RULES)/$${rules##*/} || exit; \
	done
	install -d $(DESTDIR)$(SYSTEMD_UNITS)
	for unit in $(wildcard systemd/*.*); do \
		sed 's:@SBINDIR@:$(PREFIX)/sbin:' $$unit > $(DESTDIR)$(SYSTEMD_UNITS)/$${unit##*/} && \
			chmod 644 $(DESTDIR)$(SYSTEMD_UNITS)/$${unit##*/} || exit; \
	done
	for header in $(wildcard include/uapi/linux/*.h); do \
		install -D -m 644 $$header $(DESTDIR)$(PREFIX)/include/linux/$${header##*/} || exit; \
	done
	install -D -m 644 contrib/completion/dmlive.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/dmlive
	install -D -m 644 contrib/completion/_dmlive \
		$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_dmlive

deb: ## Debian packages in build/deb/: dmlive and dmlive-dkms
	@scripts/setup deb
	@scripts/build-deb

clean: ## remove build/
	rm -rf build
