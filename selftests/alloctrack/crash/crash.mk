# SPDX-License-Identifier: GPL-2.0-only
#
# The programs of the crash test; included by the suite's Makefile.

CRASH_PROGRAMS := $(OUTPUT)/crash-writer $(OUTPUT)/crash-replay
include ../lib/replay/replay.mk

crash-replay-sources := $(addprefix crash/,crash-replay.c media.c promise.c) \
	$(replay-sources)

all: $(CRASH_PROGRAMS)

$(OUTPUT)/crash-writer: crash/crash-writer.c $(wildcard crash/*.h) $(replay-headers)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/$<'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $<

$(OUTPUT)/crash-replay: $(crash-replay-sources) $(wildcard crash/*.h) $(replay-headers)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/crash/crash-replay.c'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $(crash-replay-sources)
