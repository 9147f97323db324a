#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-kmemleak
#
# timeout: 3600
#
# Each allocation of an operation fails once. The operation then reports the lack of
# memory, changes nothing, and succeeds when it is repeated. Guest I/O uses reserved memory
# only, and never fails. Nothing is leaked.

. "$(dirname "$0")/sweep.sh"

# LISTS and STRIDE in the environment select other lists and another stride.
# shellcheck disable=SC2086
sweep_lists 20 "${STRIDE:-128}" \
	${LISTS:-alloctrack server cbw cbw-track alloctrack-io cbw-io}
finish
