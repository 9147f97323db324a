#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is wrong in the file of a backup job is named with its line; nothing is done then.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"

# refused REGEX LINE... - the file with these lines, behind two good ones.
refused()
{
	local text
	printf '%s\n' "# a job" "[Backup]" "${@:2}" > "$TMP/j.conf"
	text=$(dmlive backup --job "$TMP/j.conf" 2>&1)
	is "${*:2}: status" $? 2
	check "${*:2}: the reason: $text" grep -qE "^dmlive: $TMP/j.conf:$1" <<< "$text"
}

refused " Volume= is missing"
refused " Folder= is missing" Volume=vg/a
refused "3: Folder=x: must be an absolute path" Folder=x
refused "4: Folder=/b: is given twice" Folder=/a Folder=/b
refused "3: Volume=: needs a value" Volume=
refused "3: Volumes=a: there is no such setting" Volumes=a
refused "3: Force=1: there is no such setting" Force=1
refused "3: must be KEY=VALUE: 'Volume'" Volume
refused "3: there is no section '.Job.', only .Backup." "[Job]"
refused "4: --compression lz4: must be none, zlib" "" Compression=lz4
refused "3: --cluster-size 3K: must be a power of two" ClusterSize=3K
refused "3: --threads x: not a number" Threads=x
refused "3: --on-cbw-error no: must be" OnCbwError=no
refused "3: --hook-timeout -1: not a number" HookTimeout=-1
refused "3: KeepChains=0: must be a number" KeepChains=0
refused "3: FullEvery=1w: must be a number of backups, or of days" FullEvery=1w
refused "3: FullEvery=d: must be" FullEvery=d
refused "3: MetricsFile=m.prom: must be an absolute path" MetricsFile=m.prom
refused "3: the line is too long" "Folder=/$(printf %05000d 0)"

# All of them are named.
text=$(printf '%s\n' Volume=a "[Backup]" Threads=x Folder=y > "$TMP/j.conf"
	dmlive backup --job "$TMP/j.conf" 2>&1)
is "several: all are named" "$(grep -c "$TMP/j.conf:[134]:" <<< "$text")" 3

# named REGEX ARGUMENT...
named()
{
	local text
	text=$(dmlive backup "${@:2}" 2>&1)
	is "${*:2}: status" $? 2
	check "${*:2}: the reason: $text" grep -qE -- "$1" <<< "$text"
}

named "/etc/dmlive/backup.d/not-there.conf: No such file" --job not-there
printf '%s\n' "[Backup]" Volume=a Folder=/b > "$TMP/w.conf"
chmod 666 "$TMP/w.conf"
named "$TMP/w.conf: may hold commands, and others than root can write it" --job "$TMP/w.conf"
mkdir "$TMP/folder"
named "$TMP/folder: is not a regular file" --job "$TMP/folder"
named "name of a job has letters, digits" --job a.b
named "name of a job has letters, digits" --job "$TMP/.conf"
named "--job j: cannot be combined with NAME and OUT" --job j a b
named "--job j: cannot be combined with other options" --job j --force
named "--job: needs a value" --job
finish
