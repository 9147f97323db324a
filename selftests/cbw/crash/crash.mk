# SPDX-License-Identifier: GPL-2.0-only
#
# The program of the crash test; included by the suite's Makefile.

include ../lib/replay/replay.mk

track-replay-sources := crash/track-replay.c $(replay-sources)

all: $(OUTPUT)/track-replay

$(OUTPUT)/track-replay: $(track-replay-sources) $(replay-headers)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/crash/track-replay.c'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $(track-replay-sources)
