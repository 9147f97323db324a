# SPDX-License-Identifier: GPL-2.0-only
#
# The program of the crash test; included by the suite's Makefile.

include ../lib/replay/replay.mk

track-replay-sources := crash/track-replay.c $(replay-sources) \
	$(wildcard ../../dm-live/qcow2/*.c)

all: $(OUTPUT)/track-replay

$(OUTPUT)/track-replay: $(track-replay-sources) $(replay-headers) \
		$(wildcard ../../dm-live/qcow2/*.h) ../../include/qcow2-format.h
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/crash/track-replay.c'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $(track-replay-sources)
