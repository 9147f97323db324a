# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Boots a User-mode Linux kernel: a process of this machine, whose root is the
# host's file system over hostfs. It defines the same functions as qemu.sh.

uml_prepare()
{
	local i

	boot_allowance_s=30
	uml_args=("$kernel_image" "mem=${mem_mib}M" "ncpus=$cpus" seccomp=on
		root=none rootfstype=hostfs rootflags=/ ro "init=$here/uml-init"
		con=null "con0=null,fd:1" quiet panic=-1 oops=panic
		"dmlive.run=$run_dir")
	for i in "${!disk_files[@]}"; do
		uml_args+=("ubd$i=${disk_files[i]}")
	done
	# shellcheck disable=SC2206,SC2207 # words, as on a command line
	uml_args+=($(uml_debug_args) $append)
}

# The search for leaks and the tracking of allocations walk the whole stack at every
# allocation, so each new process takes two seconds. They have to be switched on:
# --append "kmemleak=on slab_debug=FZPU".
uml_debug_args()
{
	[[ $kernel_release = *-uml-lockdep ]] || return 0
	[[ " $append" = *" kmemleak="* ]] || echo kmemleak=off
	[[ " $append" = *" slab_debug="* ]] || echo slab_debug=FZP
}

# The kernel is a group of processes, one for each guest process; setsid makes
# it a group of its own.
uml_start()
{
	TMPDIR=${DMLIVE_UML_TMPDIR:-/dev/shm} setsid "${uml_args[@]}" \
		< /dev/null > "$run_dir/console" 2>&1 &
	machine_pid=$!
}

# It ignores other signals while it is busy.
uml_kill()
{
	kill -KILL -- "-$machine_pid" 2>/dev/null
}

uml_cut()
{
	uml_kill
}
