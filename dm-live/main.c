// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-live: what the targets alloctrack and cbw share. A library: it owns no
 * device and no state of its own.
 */
#include <linux/module.h>

MODULE_DESCRIPTION("device-mapper live restore and backup: shared mechanisms");
MODULE_LICENSE("GPL");
