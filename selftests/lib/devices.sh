# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Block devices for tests. They are registered with on_exit, so they are removed when the
# test ends. Functions that make a disk print its path and are meant for disk=$(make_...).

# require_target NAME... - skip the test if the kernel has no such target.
require_target()
{
	local t
	for t; do
		has_target "$t" || skip_all "no device-mapper target $t in this kernel"
	done
}

has_target()
{
	modprobe -q "dm-$1" 2>/dev/null
	dmsetup targets | grep -q "^$1 "
}

# require_module NAME... - skip the test if a kernel module is missing.
require_module()
{
	local m
	for m; do
		[ -d "/sys/module/${m//-/_}" ] || modprobe -q "$m" ||
			skip_all "no module $m in this kernel"
	done
}

# sectors DEVICE - its size in 512-byte sectors.
sectors()
{
	blockdev --getsz "$1"
}

# make_disk MIB [BLOCK_BYTES [ATTRIBUTE=VALUE...]] - a null_blk device in memory,
# with discard; zeroed. More attributes are those of null_blk's configfs, for
# example completion_nsec=1000000 irqmode=2 for a slow disk.
make_disk()
{
	local mib=$1 bs=${2:-512} dir name attr index
	shift $(($# < 2 ? $# : 2))

	[ -d /sys/kernel/config/nullb ] || modprobe null_blk nr_devices=0 || return 1
	for ((index = 0; index < 1000; index++)); do
		dir=/sys/kernel/config/nullb/dmlive$index
		mkdir "$dir" 2>/dev/null && break
	done
	for attr in size="$mib" blocksize="$bs" memory_backed=1 discard=1 "$@" power=1; do
		echo "${attr#*=}" > "$dir/${attr%%=*}" || {
			rmdir "$dir"
			return 1
		}
	done
	on_exit rmdir "$dir"
	name=/dev/nullb$(cat "$dir/index")
	[ -b "$name" ] || name=/dev/dmlive$index	# newer kernels keep the name
	wait_until -t 5 test -b "$name" || return 1
	echo "$name"
}

# make_loop MIB|FILE [BLOCK_BYTES [LOSETUP_OPTION...]] - a loop device on a sparse
# file in memory, or on the file given.
make_loop()
{
	local file=$1 bs=${2:-512} loop
	shift $(($# < 2 ? $# : 2))

	if [[ $file =~ ^[0-9]+$ ]]; then
		truncate -s "${file}M" "$TMP/loop-$file.$BASHPID" || return 1
		file=$TMP/loop-$file.$BASHPID
	fi
	[ -e /dev/loop-control ] || modprobe loop
	loop=$(losetup --show -f -b "$bs" "$@" "$file") || return 1
	on_exit losetup -d "$loop"
	echo "$loop"
}

# dm_create NAME TABLE [DMSETUP_OPTION...] - a mapped device, table of one or
# more lines.
dm_create()
{
	printf '%s\n' "$2" | dmsetup create "$1" "${@:3}" || return 1
	on_exit dm_remove "$1"
}

# dm_reload NAME TABLE [SUSPEND_OPTION...] - replace the table.
dm_reload()
{
	printf '%s\n' "$2" | dmsetup reload "$1" &&
		dmsetup suspend "${@:3}" "$1" && dmsetup resume "$1"
}

# dm_remove NAME - remove it if it exists. Resumes it first, and waits until the last opener
# (a process that ends, a probe) has closed it.
dm_remove()
{
	dmsetup info "$1" > /dev/null 2>&1 || return 0
	dmsetup info -c --noheadings -o suspended "$1" | grep -qi '^suspended' &&
		dmsetup resume "$1"
	wait_until -t 20 dmsetup remove "$1" || dmsetup remove "$1"
}

# dm_target NAME - the target of its only table line.
dm_target()
{
	dmsetup table "$1" | awk '{ print $3 }'
}

# dm_status NAME [FIELD] - the target's status, or its FIELDth word: 1 is the
# first word after the target's name.
dm_status()
{
	if [ $# -eq 1 ]; then
		dmsetup status "$1" | cut -d ' ' -f 4-
	else
		dmsetup status "$1" | cut -d ' ' -f $(($2 + 3))
	fi
}

# dm_number NAME - MAJOR:MINOR.
dm_number()
{
	dmsetup info -c --noheadings -o major,minor "$1"
}

# make_linear NAME DEVICE [SECTORS] - a linear mapping of DEVICE, or of its first SECTORS.
# Prints its path.
make_linear()
{
	dm_create "$1" "0 ${3:-$(sectors "$2")} linear $2 0" && echo "/dev/mapper/$1"
}

# break_device NAME DEVICE FIRST NR - make a hole of errors in a linear mapping;
# repair_device NAME DEVICE - close it.
break_device()
{
	local size
	size=$(sectors "$2")
	dm_reload "$1" "$(
		[ "$3" -eq 0 ] || echo "0 $3 linear $2 0"
		echo "$3 $4 error"
		[ $(($3 + $4)) -ge "$size" ] ||
			echo "$(($3 + $4)) $((size - $3 - $4)) linear $2 $(($3 + $4))"
	)" || bail "cannot break $1"
}

repair_device()
{
	dm_reload "$1" "0 $(sectors "$2") linear $2 0" || bail "cannot repair $1"
}

# dd_write DEVICE OFFSET_BYTES LENGTH_BYTES [DD_OPTION...] - one direct write.
dd_write()
{
	dd if=/dev/zero of="$1" bs="$3" seek="$2" count=1 \
		oflag=seek_bytes,direct conv=notrunc status=none "${@:4}"
}

# dd_read DEVICE OFFSET_BYTES LENGTH_BYTES - one direct read, to stdout.
dd_read()
{
	dd if="$1" bs="$3" skip="$2" count=1 iflag=skip_bytes,direct status=none
}

# disk_stat DISK FIELD - of /sys/block/DISK/stat: 1 reads, 3 sectors read, 5
# writes, 7 sectors written, 12 discards, 16 flushes.
disk_stat()
{
	local words
	read -r -a words < "/sys/block/${1##*/}/stat"
	echo "${words[$2 - 1]}"
}
