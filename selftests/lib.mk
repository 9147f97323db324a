# SPDX-License-Identifier: GPL-2.0-only
#
# Included by the Makefile of every suite, in the manner of kselftest:
#   TEST_PROGS      executables that print TAP; default: all test-* scripts
#   TEST_GEN_FILES  compiled helpers, each from NAME.c; default: every *.c but
#   TEST_GEN_LIBS   libraries for LD_PRELOAD, NAME.so; default: from preload-*.c
# Helpers go to build/selftests/SUITE, which is on PATH in a test.

SUITE := $(notdir $(CURDIR))
OUTPUT ?= $(abspath ../../build/selftests/$(SUITE))

TEST_PROGS ?= $(sort $(filter-out %.c %.h %~,$(wildcard test-* test_*)))
TEST_GEN_LIBS ?= $(sort $(patsubst %.c,%.so,$(wildcard preload-*.c)))
TEST_GEN_FILES ?= $(sort $(patsubst %.c,%,$(filter-out preload-%,$(wildcard *.c))))

CFLAGS ?= -O2 -g
TEST_CFLAGS = -std=gnu11 -Wall -Wextra -D_GNU_SOURCE -pthread $(CFLAGS) \
	-I../../include -I../../include/uapi

all: $(TEST_GEN_FILES:%=$(OUTPUT)/%) $(TEST_GEN_LIBS:%=$(OUTPUT)/%)

$(OUTPUT)/%.so: %.c $(MAKEFILE_LIST)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/$<'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -shared -fPIC -MMD -MP -MF $@.d -o $@ $<

$(OUTPUT)/%: %.c $(MAKEFILE_LIST)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/$<'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LDLIBS)

-include $(TEST_GEN_FILES:%=$(OUTPUT)/%.d) $(TEST_GEN_LIBS:%=$(OUTPUT)/%.d)

list:
	@printf '%s\n' $(TEST_PROGS)

.PHONY: all list
