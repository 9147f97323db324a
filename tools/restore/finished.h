/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FINISHED_H
#define DMLIVE_FINISHED_H

/*
 * Restores that are finished, in /run/dmlive-finished: for `dmlive status`, as long as
 * their mapped devices are there.
 */

#include <stdint.h>

/* NULL and 0: not on record. */
struct finished {
	uint64_t time_s;
	char *image;
};

/*
 * Record that the mapped device @name with this UUID is a linear mapping of @volume
 * now. Failing to record it is not an error.
 */
void finished_save(const char *name, const char *uuid, const char *volume,
		   const char *image);

/* What is on record of the device with this UUID, or "" and this name. To be freed. */
void finished_load(const char *name, const char *uuid,
		   struct finished *finished);
void finished_free(struct finished *finished);

/* Forget those whose mapped devices are gone. */
void finished_clean(void);

#endif /* DMLIVE_FINISHED_H */
