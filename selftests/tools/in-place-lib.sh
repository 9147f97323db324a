# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive restore --in-place`: the volume t/vm1 of 12 MiB, 4 more than the image
# has, and the metadata device t/m. expected.raw has the content that the volume must have.

# shellcheck source=restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"
require_command vgcreate lvcreate

readonly V=/dev/t/vm1 MAP=t-vm1 INNER=t-vm1-dmlive records=/etc/dmlive/restore.d

make_image image.qcow2 "${image_mib:=8}"
cp image.qcow2.raw expected.raw
truncate -s $((image_mib + 4))M expected.raw
mkdir -p "$records"
on_exit rm -rf "$records"

make_volumes()
{
	local l
	pv=$(make_loop 64) || bail "disk"
	vgcreate -q -s 1M t "$pv" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
	on_exit vgremove -q -f t
	for l in vm1:$((image_mib + 4)) m:2; do
		lvcreate -q -y -W n -L "${l#*:}M" -n "${l%:*}" t > lvm.log 2>&1 ||
			bail "LVM: $(cat lvm.log)"
	done
	on_exit end_in_place
	plain_table=$(dmsetup table $MAP)
	record=$records/$(dmsetup info -c --noheadings -o uuid $MAP).conf
	soil $V
}

end_in_place()
{
	dmsetup wipe_table --force $MAP
	dmsetup remove --retry $INNER
	true
}

# in_place [OPTION...] - in the foreground.
in_place()
{
	dmlive restore image.qcow2 t/vm1 --in-place --meta /dev/t/m --force "$@"
}

# lose_server - kill it, as a crash would.
lose_server()
{
	local pid
	pid=$(server_of $MAP)
	[ -z "$pid" ] || { kill -KILL "$pid" && wait_until is_gone "$pid"; }
}

# restart - all that does not survive a restart of the machine is lost; lvm2 gives the
# volumes their own tables. Nobody but udev's handler has seen the volume then.
restart()
{
	lose_server
	lose_server
	lvchange -q -an t/vm1 > lvm.log 2>&1 || bail "lvchange: $(cat lvm.log)"
	! dmsetup info $INNER > /dev/null 2>&1 || dmsetup remove --retry $INNER
	rm -rf /run/dmlive
	vgchange -q -ay t > lvm.log 2>&1 || bail "vgchange: $(cat lvm.log)"
}

can_read()
{
	dd if=/dev/mapper/$MAP of=/dev/null bs=4096 count=1 skip="${1:-0}" iflag=direct status=none 2> dd.log
}

# has_content MIB - half a MiB there is what it must be. More would restore all of it.
has_content()
{
	cmp -i $(($1 << 20)) -n 524288 expected.raw $V
}

# is_fenced DESCRIPTION - nothing can be read or written.
is_fenced()
{
	is "$1: fails all I/O" "$(dm_target $MAP)" error
	check_fails "$1: no read" can_read
}

has_own_table()
{
	[ "$(dmsetup table $MAP)" = "$plain_table" ]
}

is_over()
{
	has_own_table && [ ! -e "$record" ] && [ ! -e /run/dmlive/$MAP.json ]
}

# ends_well DESCRIPTION - the volume has its own table and the image's content, and nothing
# is left over.
ends_well()
{
	check "$1: its own table in the end" wait_until is_over ||
		diag "$(dmsetup table; ls $records; cat /run/dmlive/*.log)"
	same "$1: content" $V expected.raw
	check_fails "$1: no inner device" dmsetup info $INNER
	is "$1: not suspended, nothing loaded" \
		"$(dmsetup info -c --noheadings -o suspended,tables_loaded $MAP)" "Active:Live"
	is "$1: nothing is reported" "$(dmlive status --json | jq -c .)" "[]"
}
