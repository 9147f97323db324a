# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A stack of devices with random operations while a guest writes to it, and an exact model
# of its content. test-stress.sh builds its rounds from this.
#
# file, backing, store and meta are linear mappings of disks, in which holes of errors come
# and go. The device under test is s. $MODEL is its expected content, kept by blkmodel over
# the segments of a round; $initial is its first content. All choices depend on $SEED.

. "$(dirname "$0")/hostile.sh"
PATH=$CHECKOUT/build/selftests/alloctrack:$CHECKOUT/build/selftests/cbw:$PATH

readonly S=/dev/mapper/s MODEL=$TMP/model MIB=16
readonly SIZE=$((MIB * 2048))

# pick WORD... - set $picked to one of them. Must not be called in a subshell, where
# $RANDOM does not depend on the seed.
pick()
{
	local words=("$@")
	picked=${words[RANDOM % $#]}
}

make_stack()
{
	file_disk=$(make_disk $MIB) && backing_disk=$(make_disk $((MIB - 3))) &&
		store_disk=$(make_disk $MIB) && meta_disk=$(make_disk 2) || bail "disks"
	make_linear file "$file_disk" > /dev/null &&
		make_linear backing "$backing_disk" > /dev/null &&
		make_linear store "$store_disk" > /dev/null &&
		make_linear meta "$meta_disk" > /dev/null || bail "linear"
}

disk_of()
{
	local name=${1}_disk
	echo "${!name}"
}

# break_somewhere NAME - a hole of 1 MiB.
break_somewhere()
{
	break_device "$1" "$(disk_of "$1")" $(((RANDOM % (MIB - 5) + 1) * 2048)) 2048
}

mend()
{
	repair_device "$1" "$(disk_of "$1")"
}

# start_guest OPERATION_COUNT OPTION... - start one segment of the guest. A tenth of them
# have very little memory, in a control group.
start_guest()
{
	local options=() poor=$((RANDOM % 10 == 0)) seed=$RANDOM
	[ ! -e "$MODEL" ] || options=(--load-model "$MODEL")
	(
		[ $poor = 0 ] || echo $BASHPID > "$POOR/cgroup.procs"
		exec blkmodel $S --ops "$1" --seed $seed --max-io 256K \
			--block-size $((block * 512)) --save-model "$MODEL" \
			--initial "$initial" --no-verify "${options[@]}" "${@:2}"
	) > "$TMP/guest" 2>&1 &
	guest=$!
	on_exit stop_process $guest
}

# The control group with very little memory.
make_poor()
{
	POOR=/sys/fs/cgroup/poor
	echo +memory > /sys/fs/cgroup/cgroup.subtree_control
	mkdir $POOR && echo 24M > $POOR/memory.max || skip_all "no memory groups"
	on_exit rmdir $POOR
}

# start_reader - a process that fills this group's memory with pages of s.
start_reader()
{
	(
		echo $BASHPID > $POOR/cgroup.procs
		exec dd if=$S of=/dev/null bs=1M
	) > /dev/null 2>&1 &
	reader=$!
	on_exit stop_process $reader
}

# guest_is_good - end a segment; the guest must have found no error.
guest_is_good()
{
	wait "$guest" && return
	diag "guest: $(tail -n 20 "$TMP/guest")"
	diag "status: $(dmsetup status s)"
	return 1
}

# holds_the_model - all of s is equal to the model.
holds_the_model()
{
	blkmodel $S --verify-only --load-model "$MODEL" --initial "$initial" \
		--block-size $((block * 512)) > "$TMP/verify" 2>&1 && return
	diag "verify: $(tail -n 20 "$TMP/verify")"
	return 1
}

# copy_disk DISK FILE - with direct I/O, since the page cache does not have the writes of
# mapped devices.
copy_disk()
{
	dd if="$1" of="$2" bs=1M iflag=direct status=none
}

# is_on_store FILE
is_on_store()
{
	copy_disk "$store_disk" "$TMP/store" && cmp "$1" "$TMP/store"
}

# suspended COMMAND... - run it with s suspended, in a random way.
suspended()
{
	pick "" "--noflush" "--nolockfs"
	# shellcheck disable=SC2086 # one word or none
	dmsetup suspend $picked s && "$@" && dmsetup resume s
}

# refuses_another_size TABLE - a table of half the size cannot become active.
refuses_another_size()
{
	sed "s/^0 $SIZE /0 $((SIZE / 2)) /" <<< "$1" | dmsetup load s 2>/dev/null || return 0
	dmsetup clear s
}
