# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of virtual machines, on top of increment-lib.sh: a virsh that is made of files in $VIRSH.
#
#	uri			of it; default: qemu:///system
#	live.xml, kept.xml	definitions of the one domain
#	calls			what it was called with, a line each
#	frozen			is there while the guest is frozen
#	agent			if it is there, the agent answers
#	slow, hang, kill	what domfsfreeze does if one of these is there; hang: so does domfsthaw
#	none			if it is there, domfsfreeze freezes nothing
#	expires			if it is there, the guest has thawed itself before domfsthaw
#	refuse			if it is there, define fails
#	list--uuid, list--name	of all domains; list--with-managed-save: their UUIDs
#	defined.xml		the last one that was defined

# shellcheck source=increment-lib.sh
. "$(dirname "$0")/increment-lib.sh"

export VIRSH=$TMP/virsh-state
mkdir -p "$VIRSH" "$TMP/bin"
cat > "$TMP/bin/virsh" <<'STUB'
#!/bin/bash
quiet=
while [[ $1 == -* ]]; do
	[ "$1" != --quiet ] || quiet=1
	[ "$1" != --connect ] || shift
	shift
done
cd "$VIRSH" || exit 1
state=
[[ $1 != domfs* ]] || state=" $(dmsetup info -c --noheadings -o suspended a 2> /dev/null)"
echo "$LC_ALL $*$state" >> calls
case $1 in
uri)
	[ ! -e uri ] || exec cat uri
	echo qemu:///system ;;
dumpxml)
	[ "$2" != missing ] || { echo "error: failed to get domain 'missing'" >&2; exit 1; }
	[[ -e live.xml ]] || exit 1
	cat "$([ "${3:-}" = --inactive ] && echo kept.xml || echo live.xml)" ;;
qemu-agent-command)
	[ -e agent ] || { echo "error: QEMU guest agent is not connected" >&2; exit 1; }
	[[ ${*: -1} == *guest-fsfreeze-status* ]] || exit 1
	echo "{\"return\":\"$([ -e frozen ] && echo frozen || echo thawed)\"}" ;;
domfsfreeze)
	[ ! -e slow ] || sleep 3
	[ ! -e hang ] || sleep 1000
	[ -e none ] || : > frozen
	[ ! -e kill ] || kill -KILL $PPID
	[ "$quiet" ] || echo "Froze $([ -e none ] && echo 0 || echo 2) filesystem(s)" ;;
domfsthaw)
	[ ! -e hang ] || sleep 1000
	[ ! -e expires ] || rm -f frozen
	[ "$quiet" ] || echo "Thawed $([ -e frozen ] && echo 2 || echo 0) filesystem(s)"
	rm -f frozen ;;
list)
	cat "list${4:-$3}" 2> /dev/null; true ;;
define)
	[ ! -e refuse ] || { echo "error: unsupported configuration" >&2; exit 1; }
	cp "$2" defined.xml ;;
esac
STUB
chmod +x "$TMP/bin/virsh"
PATH=$TMP/bin:$PATH

# disk_xml TARGET SOURCE [DEVICE [TYPE [MORE]]]
disk_xml()
{
	local attribute=file
	[ "${4:-block}" != block ] || attribute='dev'
	echo "<disk type='${4:-block}' device='${3:-disk}'>"
	[ -z "$2" ] || echo "<source $attribute='$2'/>"
	echo "<target dev='$1' bus='virtio'/>${5:-}</disk>"
}

# domain_xml [DISK...] - of the domain "my vm", whose disks are given as XML.
domain_xml()
{
	echo "<domain type='kvm'${ID:+ id='$ID'}><name>my vm</name>
<uuid>11111111-2222-3333-4444-555555555555</uuid><devices>$*</devices></domain>"
}

# set_domain [DISK...] - it runs, and has these disks.
set_domain()
{
	ID=1 domain_xml "$@" > "$VIRSH/live.xml"
	domain_xml "$@" > "$VIRSH/kept.xml"
}

# called COMMAND - how often virsh was called so.
called()
{
	grep -cE "^C $1( |$)" "$VIRSH/calls"
}
