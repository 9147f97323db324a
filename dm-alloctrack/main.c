// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-alloctrack: the target "alloctrack" and its control device. Only set-up
 * and tear-down of the module stand here.
 */
#include <linux/module.h>

#include "alloctrack.h"
#include "control.h"
#include "target.h"

static int __init alloctrack_init(void)
{
	int r;

	r = at_control_init();
	if (r) {
		DMERR("cannot register /dev/" DM_ALLOCTRACK_NODE ": %d", r);
		return r;
	}
	r = at_target_init();
	if (r)
		at_control_exit();
	return r;
}

static void __exit alloctrack_exit(void)
{
	at_target_exit();
	at_control_exit();
}

module_init(alloctrack_init);
module_exit(alloctrack_exit);

MODULE_DESCRIPTION("device-mapper target for live restore: reads of what is not on the volume yet come from a backup");
MODULE_LICENSE("GPL");
MODULE_ALIAS("dm-alloctrack");
