# SPDX-License-Identifier: GPL-2.0-only
#
# Builds blkmodel as a helper of a suite; included by its Makefile, after lib.mk.

all: $(OUTPUT)/blkmodel

blkmodel_dir := ../lib/blkmodel
blkmodel_sources := $(wildcard $(blkmodel_dir)/*.c)

$(OUTPUT)/blkmodel: $(blkmodel_sources) $(wildcard $(blkmodel_dir)/*.h) $(MAKEFILE_LIST)
	@mkdir -p $(OUTPUT)
	@echo '  CC      $(SUITE)/blkmodel'
	$(if $(V),,@)$(CC) $(TEST_CFLAGS) -o $@ $(blkmodel_sources)
