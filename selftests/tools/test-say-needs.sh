#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# Missing requirements of a command are reported first, on one line: privileges,
# device-mapper, the modules, loop devices. No other error is reported before.

. "$(dirname "$0")/attach-lib.sh"
require_command setpriv

commands=(
	"restore none.qcow2 /dev/none --name r" "resume r" "resume /dev/none" "status"
	"status /dev/none" "stream /dev/none pause" "finish /dev/none" "attach /dev/none"
	"detach /dev/none" "backup /dev/none none/out"
)

# lacking DESCRIPTION REGEX PREFIX... - every command, run with the prefix, reports it.
lacking()
{
	local command
	for command in "${commands[@]}"; do
		"${@:3}" dmlive $command > "$out" 2> "$err" < /dev/null
		is "$1: $command: exit status" $? 3
		like "$1: $command: the reason" "$(cat "$err")" "^dmlive: ${command%% *}: $2"
		is "$1: $command: one line" "$(wc -l < "$err")" 1
	done
}

lacking "not root" "must be run as root" setpriv --reuid 65534 --clear-groups

# One command of each kind is enough.
commands=("restore none.qcow2 /dev/none --name r" "status")

# A kernel without device-mapper has neither its number nor its node.
: > empty
without_dm()
{
	mount --bind empty /proc/devices && mount --bind empty /proc/misc &&
		mount -t tmpfs none /dev/mapper && "$@"
}
export -f without_dm
lacking "no device-mapper" "device-mapper cannot be used.*modprobe dm-mod" \
	unshare -m bash -c 'without_dm "$@"; s=$?; exit $s' -

# Without modules, and without modprobe.
loader=$(cat /proc/sys/kernel/modprobe)
without_module()
{
	local module=$1
	shift
	[ -e "/run/vm/$module.ko" ] && rmmod "$module" || {
		skip "no $module" "its module cannot be removed"
		return
	}
	echo > /proc/sys/kernel/modprobe
	lacking "no $module" "the kernel has no device-mapper target .*modprobe $module" env
	insmod "/run/vm/$module.ko" || bail "insmod"
	echo "$loader" > /proc/sys/kernel/modprobe
}
commands=("attach /dev/none" "backup /dev/none none/out"
	"restore none.qcow2 /dev/none --name r --track b")
without_module dm-cbw
commands=("restore none.qcow2 /dev/none --name r" "resume r")
without_module dm-alloctrack

# Without the module there is no node, or one that cannot be opened.
node=$(stat -c '%t %T' /dev/loop-control) && rm /dev/loop-control || bail "loop-control"
commands=("backup /dev/none none/out" "backup /dev/none none/out --fleece $TMP")
lacking "no loop devices" "there are no loop devices.*modprobe loop.*--fleece DEVICE" env
read -r major minor <<< "$node"
mknod /dev/loop-control c $((16#$major)) $((16#$minor))
finish
