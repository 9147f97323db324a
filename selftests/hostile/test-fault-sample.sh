#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-lockdep
#
# A few of the allocations of each operation fail, one at a time, as in
# test-fault-sweep.sh: the operation reports the lack of memory, and succeeds when it is
# repeated.

. "$(dirname "$0")/sweep.sh"

# shellcheck disable=SC2086
sweep_lists 2 "${STRIDE:-500}" ${LISTS:-cbw-track alloctrack server}
finish
