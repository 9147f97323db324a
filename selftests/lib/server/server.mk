# SPDX-License-Identifier: GPL-2.0-only
#
# The core of programs that serve a device as alloctrack's user process; included by the
# Makefile of a suite that has such programs, after lib.mk. Each of SERVERS is linked
# with it.

server_sources := ../lib/server/server.c
server_headers := ../lib/server/server.h ../../include/uapi/linux/dm-alloctrack.h

$(OUTPUT)/server.o: $(server_sources) $(server_headers) $(MAKEFILE_LIST)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/$(@F)'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -c -o $@ $<

$(SERVERS:%=$(OUTPUT)/%): $(OUTPUT)/server.o
$(SERVERS:%=$(OUTPUT)/%): LDLIBS += $(OUTPUT)/server.o
