/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_PREFLIGHT_H
#define DMLIVE_PREFLIGHT_H

/*
 * A check of the tables of an image before anything is written that depends on it: do
 * the files hold what the tables name? Nothing but the tables is read, and the few
 * compressed clusters that end where a file ends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "image.h"

/*
 * @tick: called about every tenth of a second, in the caller's thread, with how much
 *	of the tables has been read; true: give up. May be NULL.
 */
struct preflight {
	bool (*tick)(void *context, uint64_t done_bytes, uint64_t total_bytes);
	void *context;
};

/*
 * All layers of @image, each as far as it can be seen. Works with several threads;
 * others may read the image meanwhile.
 *
 * Return: the error and message that image_read() would give for a damaged table or a
 * cluster beyond the end of its file. -ECANCELED: given up.
 */
int image_preflight(struct image *image, const struct preflight *preflight,
		    struct image_error *err);

#endif /* DMLIVE_PREFLIGHT_H */
