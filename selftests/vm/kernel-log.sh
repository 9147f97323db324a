# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Lines in a kernel log that make a run fail.

# A line that matches one of these is a failure. Stack traces alone are not, since sysrq
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

# Lines that match one of these are not failures, though one of the above matches.
kernel_log_harmless=(
	# A Debian kernel says so once when a module without its signature loads.
	'loading out-of-tree module taints kernel'
)

# kernel_log_problems FILE - print the bad lines; true if there are any.
kernel_log_problems()
{
	local IFS='|'

	tr -d '\r' < "$1" | grep -aE "${kernel_log_bad[*]}" |
		grep -avE "${kernel_log_harmless[*]}"
}
