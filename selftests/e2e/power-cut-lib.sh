# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests that run on the host and cut the power of their machine, whose disks bypass the
# host's cache. $TMP/out is the guest's $OUT, where it reports its progress with files;
# $vm_options are options of vm/run.

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
TMP=$(mktemp -d "${TMPDIR:-/var/tmp}/dmlive-power-cut.XXXXXX") || exit 1
# shellcheck source=../lib/tap.sh
. "$here/../lib/tap.sh"
machine=
mkdir "$TMP/out"

cut_short()
{
	[ -z "$machine" ] || kill "$machine" 2>/dev/null
}
on_exit true
trap 'cut_short; exit 1' INT TERM HUP

# build - build what the machine needs, once.
build()
{
	"$here/../vm/run" "${vm_options[@]}" -- true > "$TMP/errors" 2>&1 ||
		bail "the machine: $(cat "$TMP/errors")"
}

# boot GUEST DISK... [-- ARG...] - boot the machine in the background, with files of $TMP
# as disks and its output in $TMP/log.
boot()
{
	local guest=$1 disks=()

	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		disks+=(--disk-file "$TMP/$1")
		shift
	done
	rm -f "$TMP"/out/{booted,working}
	"$here/../vm/run" --no-build --mem 1024 --timeout 600 --out "$TMP/out" \
		"${disks[@]}" "${vm_options[@]}" \
		-- "$here/$guest" "$TMP" "${@:2}" > "$TMP/log" 2> "$TMP/errors" &
	machine=$!
}

# has_come_to STATE - or the machine has ended, which is noticed later.
has_come_to()
{
	[ -e "$TMP/out/$1" ] || ! kill -0 $machine 2>/dev/null
}

# cut_power LIMIT_MS [STATE] - at a random time within the limit after a state, which is
# chosen at random too. Fails if the machine ended by itself.
cut_power()
{
	local state=${2:-} delay

	[ -n "$state" ] || { [ $((RANDOM % 4)) -gt 0 ] && state=working; } || state=booted
	delay=$((RANDOM % $1))
	wait_until -t 300 has_come_to $state || return 1
	sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
	diag "power cut $delay ms after '$state'"
	kill -USR1 $machine 2>/dev/null
	ends_with 123
}

# ends_with STATUS - the machine ends with this status. Shows its output.
ends_with()
{
	local status
	wait $machine
	status=$?
	machine=
	grep '^#' "$TMP/log"
	[ $status -eq "$1" ] || diag "status $status"$'\n'"$(tail -n 60 "$TMP/errors")"
	[ $status -eq "$1" ]
}
