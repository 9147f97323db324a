/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QCOW2_MUTATE_H
#define QCOW2_MUTATE_H

/*
 * Changes to one field of a qcow2 image in memory, which is found by following
 * the image's own tables: what a fuzzer would hit once in a million tries.
 */

#include <stddef.h>
#include <stdint.h>

struct qcow2_mutation {
	const char *structure;	/* "header", "L1 table", ... */
	uint64_t offset;
	unsigned int bytes;
	uint64_t before;
	uint64_t after;
};

/*
 * Change one field of the @size bytes @image, chosen by *@random, which is
 * changed too. What was done is told in *@mutation; @bytes is 0 if nothing could
 * be done.
 */
void qcow2_mutate(uint8_t *image, size_t size, uint64_t *random,
		  struct qcow2_mutation *mutation);

#endif /* QCOW2_MUTATE_H */
