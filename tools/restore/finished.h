/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FINISHED_H
#define DMLIVE_FINISHED_H

/*
 * Finished restores, in /run/dmlive-finished: for `dmlive status`, as long as their
 * mapped devices exist.
 */

#include <stdint.h>

/* NULL and 0: not on record. */
struct finished {
	uint64_t time_s;
	char *image;
};

/*
 * Record that the mapped device @name with this UUID is a linear mapping of @volume now.
 * A failure is ignored.
 */
void finished_save(const char *name, const char *uuid, const char *volume,
		   const char *image);

/* The record of the device with this UUID, or, if that is "", this name. To be freed. */
void finished_load(const char *name, const char *uuid,
		   struct finished *finished);
void finished_free(struct finished *finished);

/* Remove the records of mapped devices that are gone. */
void finished_clean(void);

#endif /* DMLIVE_FINISHED_H */
