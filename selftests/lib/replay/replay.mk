# SPDX-License-Identifier: GPL-2.0-only
#
# What programs that go through a log of dm-log-writes are made of; included by the
# Makefiles of suites that have such a test.

replay-sources := $(addprefix ../lib/replay/,log.c replay.c)
replay-headers := $(wildcard ../lib/replay/*.h)
