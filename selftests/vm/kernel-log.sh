# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What in a kernel log means that a run has failed.

# A line that matches one of these is a failure. Traces alone are none: sysrq
# prints them too.
kernel_log_bad=(
	'BUG: '
	'WARNING: '
	'Oops: '
	'Kernel panic'
	'general protection fault'
	'Unable to handle kernel'
	'kernel BUG at'
	'INFO: task .* blocked for more than'
	'INFO: possible '
	'INFO: inconsistent lock'
	'INFO: trying to register non-static key'
	'possible recursive locking'
	'possible circular locking'
	'inconsistent lock state'
	'suspicious RCU usage'
	'detected stalls'
	'self-detected stall'
	'soft lockup'
	'hard LOCKUP'
	'scheduling while atomic'
	'sleeping function called from invalid context'
	'refcount_t: '
	'UBSAN: '
	'KASAN: '
	'ODEBUG: '
	'bad: scheduling from the idle thread'
	'Bad page '
	'Objects remaining in'
	'Slab cache still has objects'
	'unreferenced object'
	'kmemleak: [0-9]+ new suspected'
	'leaked buffer'
	'list_(add|del) corruption'
	'stack-protector'
	'Segfault with no mm'
	'Kernel mode fault'
)

# Lines that match one of these are no failure though one of the above matches.
kernel_log_harmless=(
	# A Debian kernel says so once when a module without its signature loads.
	'loading out-of-tree module taints kernel'
)

# kernel_log_problems FILE: prints the bad lines; true if there are any.
kernel_log_problems()
{
	local IFS='|'

	tr -d '\r' < "$1" | grep -aE "${kernel_log_bad[*]}" |
		grep -avE "${kernel_log_harmless[*]}"
}
