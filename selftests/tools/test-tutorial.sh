#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# Documentation/tutorial.rst: all its commands, in their order, with smaller sizes. Packages
# and units are tested by e2e/packages and e2e/reboot; a restart is a deactivation here.

. "$(dirname "$0")/persist-lib.sh"
tutorial=$top/Documentation/tutorial.rst

# blocks: each block of commands becomes a file, block.01 and so on.
blocks()
{
	awk '
	/::$/		{ nr++; inside = 1; next }
	/^[^ ]/		{ inside = 0 }
	inside && NF	{ sub(/^    /, ""); sub(/^# /, ""); print > sprintf("block.%02d", nr) }
	' "$tutorial"
}

# What this machine has in place of the one of the tutorial.
adapt()
{
	sed -i -e "s:/dev/vdb:$disk:" -e 's/8G/256M/; s/6G/384M/; s/16G/512M/; s/+2G/+64M/' \
		-e '/^apt install/d; /^systemctl enable/d' \
		-e 's:^systemctl reboot$:vgchange -q -an vg \&\& vgchange -q -ay vg:' \
		-e 's:cp -r /usr/share/doc :cp -r /usr/share/perl :' "$1"
}

images()
{
	find /backup/vm1 -name 'nightly.vg-vm1.*.qcow2' | sort
}

is_linear()
{
	[ "$(dm_target vm2)" = linear ]
}

# shellcheck disable=SC2317 # called when the test ends
end()
{
	umount /mnt/vm1 /mnt/vm2
	dmsetup remove vm2
	dmlive detach vg/vm1 --force
	vgremove -q -f vg
	true
}

nr_backups=0
disk=$(make_loop 640) || bail "disk"
install_rule
mkdir -p /backup /mnt
mount -t tmpfs none /backup && mount -t tmpfs none /mnt || bail "mount"
on_exit umount /backup /mnt
on_exit end
blocks
check "there are blocks" [ "$(echo block.*)" != 'block.*' ]
for block in block.*; do
	adapt "$block"
	[ -s "$block" ] || continue
	first=$(head -n 1 "$block")
	# Images have the second in their names.
	! grep -q 'backup --job' "$block" || sleep 1.1
	case $first in
	"umount /mnt/vm2")
		check "the restore ends" wait_until is_linear
		check "what was copied is in the restored volume" \
			diff -r /usr/share/perl /mnt/vm2/doc ;;
	esac
	bash -e -o pipefail "$block" > "$block.out" 2>&1
	result $? "$first" || diag "$(< "$block.out")"
	! grep -q 'backup --job' "$block" || cp "$block.out" "backup.$((++nr_backups))"
done

mapfile -t backups < <(images)
is "backups" ${#backups[@]} 4
for ((i = 1; i < ${#backups[@]}; i++)); do
	base=$(qemu-img info --output json "${backups[i]}" | jq -r '."full-backing-filename"')
	# The file system may write while LVM's table is there.
	if [ "$base" = null ]; then
		like "backup $((i + 1)) is full, since writes were not tracked" \
			"$(< "backup.$((i + 1))")" "a full backup is made: .*not tracked"
	else
		is "backup $((i + 1)) is an increment of the one before" "$base" "${backups[i - 1]}"
	fi
done
is "the last one is as large as the volume" \
	"$(qemu-img info --output json "${backups[3]}" | jq '."virtual-size"')" $((320 << 20))
check "the volume is attached" [ "$(dm_target vg-vm1)" = cbw ]
check "nothing is left of the restore" [ -z "$(dmsetup ls | grep vm2- )" ]
finish
