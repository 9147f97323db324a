#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# No argument to an ioctl of /dev/dm-alloctrack does harm: malformed ones are refused
# with the documented error and change nothing. Also for 32-bit programs, where the
# kernel runs them.

. "$(dirname "$0")/alloctrack.sh"

# The last block is short at each block size.
readonly SIZE=$((12 * 2048 + 8 - 3))
label=''

# results PROGRAM ARGUMENT... - run a program; its results become this test's.
results()
{
	local line status
	"$@" > "$TMP/results"
	status=$?
	while read -r line; do
		case $line in
		"ok - "*)	ok "$label: ${line#ok - }" ;;
		"not ok - "*)	not_ok "$label: ${line#not ok - }" ;;
		*)		echo "$line" ;;
		esac
	done < "$TMP/results"
	[ $status -le 1 ] || not_ok "$label: $(basename "$1") ends with status $status"
}

arguments()
{
	local program=$1 block=$2 file
	file=$(make_painted stale 13) || bail "file"
	at_create t "$SIZE" "$file" user "$block"
	results "$program" "$(dm_number t)"
	dm_remove t
}

for block in 8 128 4096; do
	label="blocks of $((block / 2)) KiB"
	arguments ioctl-args $block
done

label='32-bit program'
if ! command -v ioctl-args-32 > /dev/null; then
	skip "$label" "the compiler makes none (gcc-multilib)"
elif ! ioctl-args-32 2>&1 | grep -q Usage; then
	skip "$label" "this kernel does not run any"
else
	arguments ioctl-args-32 128
fi
finish
