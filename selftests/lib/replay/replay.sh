# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For crash tests: make a logged device, and go through the log.

# replay PROGRAM ARG... - run a program that goes through a log. For each line "sample
# NR ..." that it prints, sample is called, which looks at $TMP/image and then answers
# with: echo NR >&"$to". Sets replayed to the last line, "done ...", or to nothing
# without one, and replay_status to the exit status. Other lines are shown.
replay()
{
	local line from replay_pid

	replayed=
	coproc replay_program { "$@" 2>&1; }
	replay_pid=$!
	# Copies: the shell closes its own when the process ends.
	exec {from}<&"${replay_program[0]}" {to}>&"${replay_program[1]}"
	while read -r line <&"$from"; do
		case $line in
		sample*) sample "${line#sample }" ;;
		done*)	 replayed=$line ;;
		*)	 diag "$line" ;;
		esac
	done
	wait $replay_pid
	replay_status=$?
	exec {from}<&- {to}>&-
	diag "${replayed:-the replay has not come to its end}"
}

# make_logged DISK LOG_DISK VOLUME_SECTORS META_MIB - /dev/mapper/volume and
# /dev/mapper/meta on DISK, whose writes are logged in order. Behind them DISK must have
# 1 MiB for marks. Each has a cache of its own: a flush of the volume is a flush in the
# log, a flush of the metadata device is a mark, see flush-marker.c.
#
# Flushes of the volume are sent one after the other. dm-log-writes logs a write with the
# next flush: if two concurrent flushes ended in reverse order, the log would have writes
# behind a flush that had made them durable.
make_logged()
{
	local meta=$3 marks=$(($3 + $4 * 2048)) order=/dev/mapper/order pid

	dm_create log "0 $(sectors "$1") log-writes $1 $2" || bail "log"
	dm_create order "0 $(sectors "$1") delay /dev/mapper/log 0 0 /dev/mapper/log 0 0 \
/dev/mapper/log 0 1" || bail "order"
	dm_create marks "0 2048 linear $order $marks" || bail "marks"
	[ -b /dev/nbd0 ] || modprobe nbd nbds_max=1 || bail "nbd"
	flush-marker /dev/nbd0 /dev/mapper/marks "$4" > "$TMP/flush-marker" &
	pid=$!
	on_exit stop_process $pid
	wait_until -t 20 grep -q ready "$TMP/flush-marker" || bail "flush-marker"
	dm_create volume "0 $3 linear $order 0" || bail "volume"
	dm_create meta "0 $(($4 * 2048)) delay $order $meta 0 $order $meta 0 /dev/nbd0 0 0" ||
		bail "meta"
	flush_marker=$pid
}

# remove_logged - remove the logged devices, which completes the log. Sets logged to the
# status of dm-log-writes.
remove_logged()
{
	dm_remove volume
	dm_remove meta
	stop_process $flush_marker
	dm_remove marks
	dm_remove order
	logged=$(dm_status log)
	diag "log: $logged"
	dm_remove log
}

# mark TEXT - write a mark to the log, behind everything that has ended.
mark()
{
	echo "$1" | dd of=/dev/mapper/marks bs=512 conv=sync oflag=direct status=none ||
		bail "mark"
}
