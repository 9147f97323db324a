#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-kmemleak
#
# timeout: 3600
#
# Each allocation that an operation makes fails once. The operation then says that
# memory is missing, changes nothing, and works when it is tried again; guest I/O
# needs no memory but what was set aside, and never fails. Nothing is leaked.

. "$(dirname "$0")/sweep.sh"

# Other lists, and a smaller stride, are for the environment to say.
# shellcheck disable=SC2086
sweep_lists 20 "${STRIDE:-128}" \
	${LISTS:-alloctrack server cbw cbw-track alloctrack-io cbw-io}
finish
