# SPDX-License-Identifier: GPL-2.0-only
#
# Helpers that are not made of one source file in this folder.

include ../lib/blkmodel/blkmodel.mk

SERVERS := hand-server ioctl-args ioctl-server parallel-zero userver
include ../lib/server/server.mk

# ioctl-args-32: the ioctls have the same layout for 32-bit and 64-bit programs, so the
# same test runs as both. Not built if the compiler cannot make 32-bit programs.

has_m32 := $(shell echo 'int main(void) { return 0; }' | \
	$(CC) -m32 -static -x c -o /dev/null - 2>/dev/null && echo yes)

all: $(if $(has_m32),$(OUTPUT)/ioctl-args-32)

$(OUTPUT)/ioctl-args-32: ioctl-args.c ioctl-test.h ioctl-layout.h \
		$(server_sources) $(server_headers) $(MAKEFILE_LIST)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/ioctl-args-32'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -m32 -static -o $@ $(filter %.c,$^)
