# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the tests of hostile conditions, on top of lib/common.sh: selects the
# allocations and requests that the kernel fails.

. "$(dirname "$0")/../lib/common.sh"
require_target alloctrack cbw cbw-snapshot
require_module null_blk

readonly DEBUG=/sys/kernel/debug

# require_faults NAME... - skip the test if the kernel cannot inject these faults.
require_faults()
{
	local f
	for f; do
		[ -d $DEBUG/"$f" ] ||
			skip_all "no $f in this kernel: only uml-lockdep fails on purpose"
	done
}

# set_faults NAME ATTRIBUTE=VALUE... - quietly.
set_faults()
{
	local attribute
	for attribute in verbose=0 "${@:2}"; do
		echo "${attribute#*=}" > "$DEBUG/$1/${attribute%%=*}" ||
			bail "$1: $attribute"
	done
}

# prepare_faults NAME... - no faults yet; all allocations are eligible.
prepare_faults()
{
	local name
	for name; do
		set_faults "$name" probability=0 interval=1 times=-1 space=0 \
			require-start=0 require-end=0xffffffffffffffff \
			reject-start=0 reject-end=0
		[ ! -e $DEBUG/"$name"/ignore-gfp-wait ] ||
			set_faults "$name" ignore-gfp-wait=N
		[ ! -e $DEBUG/"$name"/min-order ] ||
			set_faults "$name" min-order=0 ignore-gfp-highmem=N
		on_exit set_faults "$name" probability=0
	done
}

# aim_at_modules NAME... - only allocations with the modules under test in their call
# stack may fail. Walking the stack takes a millisecond each time. Those of the disks must
# not fail, since the disks allocate memory for their data.
aim_at_modules()
{
	local name start end sections disk
	disk=$(cat /sys/module/null_blk/sections/.text)
	mapfile -t sections < <(cat /sys/module/dm_{live,alloctrack,cbw}/sections/.text | sort)
	start=${sections[0]}
	# Each is smaller than that.
	end=$(printf '0x%x' $((${sections[-1]} + 0x20000)))
	for name; do
		set_faults "$name" require-start="$start" require-end="$end" \
			reject-start="$disk" reject-end="$(printf '0x%x' $((disk + 0x10000)))" \
			stacktrace-depth=32
	done
}

# results PROGRAM ARGUMENT... - run a program; its results become this test's.
results()
{
	local line status
	while read -r line; do
		case $line in
		"ok - "*)	ok "$label: ${line#ok - }" ;;
		"not ok - "*)	not_ok "$label: ${line#not ok - }" ;;
		*)		diag "${line#\# }" ;;
		esac
	done < <("$@" 2>&1; echo $? > "$TMP/status")
	wait $!
	status=$(cat "$TMP/status")
	[ "$status" -le 1 ] || not_ok "$label: $(basename "$1") ends with status $status"
}
