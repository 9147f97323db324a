// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-live: what the targets alloctrack and cbw share. A library: it owns no
 * device, and no state but the UUID of its load.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/uuid.h>

#include "compat.h"
#include "instance.h"

static u8 instance[UUID_SIZE];

static char instance_text[UUID_STRING_LEN + 1];
module_param_string(instance, instance_text, sizeof(instance_text), 0444);
MODULE_PARM_DESC(instance, "random UUID of this load of the module (read only)");

static bool mapped_counts;
module_param(mapped_counts, bool, 0444);
MODULE_PARM_DESC(mapped_counts, "mapped devices count what is written, whatever queue/iostats says (read only)");

const u8 *dm_live_instance(void)
{
	return instance;
}
EXPORT_SYMBOL_GPL(dm_live_instance);

static int __init dm_live_init(void)
{
	generate_random_uuid(instance);
	/* Overrides the parameter: nothing may have been sealed with it. */
	snprintf(instance_text, sizeof(instance_text), "%pUb", instance);
	mapped_counts = dm_live_mapped_always_counts();
	return 0;
}

static void __exit dm_live_exit(void)
{
}

module_init(dm_live_init);
module_exit(dm_live_exit);

MODULE_DESCRIPTION("device-mapper live restore and backup: shared mechanisms");
MODULE_LICENSE("GPL");
