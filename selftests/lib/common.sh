# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The base of every test script. A test is a bash script that is run as root in the machine
# that selftests/vm/run boots:
#
#	#!/bin/bash
#	# One sentence: the promise that this test checks.
#	. "$(dirname "$0")/../lib/common.sh"
#	require_target alloctrack
#	plan 2
#	disk=$(make_disk 64 4096)
#	dm_create t0 "0 $(sectors "$disk") linear $disk 0"
#	check "device can be read" dd if=/dev/mapper/t0 of=/dev/null bs=1M
#	is "table is linear" "$(dm_target t0)" linear
#	finish
#
# It prints TAP and exits 0 (all passed), 1 (something failed) or 4 (skipped).
# Commands registered with on_exit are run in reverse order, however the test ends; the
# helpers that make a device register its removal, also when they are called in $(...).
# Each function is documented above its definition, in tap.sh and devices.sh.
#
# Variables: TMP (an empty folder of this test), SUITE_BUILD (compiled helpers
# of this suite, on PATH), CHECKOUT, and LIB (this folder).

set -u
LIB=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
CHECKOUT=$(realpath "$LIB/../..")
SUITE=$(basename "$(dirname "$(realpath "$0")")")
SUITE_BUILD=$CHECKOUT/build/selftests/$SUITE
PATH=$SUITE_BUILD:$CHECKOUT/build/tools:$PATH
export PATH
if [ -z "${DMLIVE_VM:-}" ]; then
	echo "1..0 # SKIP this test makes block devices; run it with selftests/vm/run" >&2
	exit 4
fi
TMP=$(mktemp -d /run/test.XXXXXX)

. "$LIB/tap.sh"
. "$LIB/devices.sh"

# log_mark - mark the kernel log; log_since - print what was logged since then.
log_mark()
{
	log_marker="test mark $EPOCHREALTIME"
	echo "$log_marker" > /dev/kmsg
}

log_since()
{
	dmesg | sed "1,/$log_marker/d"
}
