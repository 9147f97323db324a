#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# /dev/dm-alloctrack keeps its rules for servers: one server per device, faults that are
# told until they are answered, events that poll() reports, and ENODEV when the device
# is gone.

. "$(dirname "$0")/alloctrack.sh"

label=''

# results PROGRAM ARGUMENT... - run a program; its results become this test's.
results()
{
	"$@" > "$TMP/results"
	take_over $?
}

# take_over STATUS - take over the results in $TMP/results.
take_over()
{
	local line
	while read -r line; do
		case $line in
		"ok - "*)	ok "$label${line#ok - }" ;;
		"not ok - "*)	not_ok "$label${line#not ok - }" ;;
		*)		echo "$line" ;;
		esac
	done < "$TMP/results"
	[ "$1" -le 1 ] || not_ok "${label}ioctl-server ends with status $1"
}

fresh()
{
	local file
	file=$(make_painted stale 13) || bail "file"
	at_create "$1" $((12 * 2048)) "$file" "$2" 128
}

removed()
{
	local program
	fresh t user
	rm -f "$TMP/results"
	ioctl-server removed "$(dm_number t)" > "$TMP/results" &
	program=$!
	wait_until grep -q ready "$TMP/results"
	check "the device can be removed under its server" dmsetup remove t
	wait $program
	take_over $?
}

all()
{
	fresh t user
	fresh other user
	fresh none -
	make_linear linear "$(make_disk 1)" > /dev/null || bail "linear"
	results ioctl-server attach "$(dm_number t)" "$(dm_number other)" \
		"$(dm_number none)" "$(dm_number linear)"
	results ioctl-server unprivileged "$(dm_number t)"
	dm_remove other
	dm_remove none
	dm_remove linear

	dmsetup suspend t
	results ioctl-server suspended "$(dm_number t)"
	dmsetup resume t
	results ioctl-server faults "$(dm_number t)" /dev/mapper/t t
	dm_remove t
	removed
}

all
finish
