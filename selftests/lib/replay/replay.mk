# SPDX-License-Identifier: GPL-2.0-only
#
# The sources of programs that go through a log of dm-log-writes; included by the Makefiles
# of suites that have such a test.

replay-sources := $(addprefix ../lib/replay/,caches.c log.c replay.c store.c) \
	$(wildcard ../../dm-live/qcow2/*.c)
replay-headers := $(wildcard ../lib/replay/*.h ../../dm-live/qcow2/*.h) \
	../../include/qcow2-format.h

all: $(OUTPUT)/flush-marker

$(OUTPUT)/flush-marker: ../lib/replay/flush-marker.c
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/flush-marker'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $<
