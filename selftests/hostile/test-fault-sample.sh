#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-lockdep
#
# A few of the allocations that operations make fail, each alone, as in
# test-fault-sweep.sh: the operation says that memory is missing, and works when it is
# tried again.

. "$(dirname "$0")/sweep.sh"

# shellcheck disable=SC2086
sweep_lists 2 "${STRIDE:-500}" ${LISTS:-cbw-track alloctrack server}
finish
