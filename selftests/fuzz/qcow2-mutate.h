/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QCOW2_MUTATE_H
#define QCOW2_MUTATE_H

/*
 * Changes one field of a qcow2 image in memory. It finds the field by following the image's
 * own tables; a fuzzer would hit it once in a million tries.
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
 * Change one field of @image, of @size bytes, chosen by *@random, which changes too. The
 * change is described in *@mutation; @bytes is 0 if there was none.
 */
void qcow2_mutate(uint8_t *image, size_t size, uint64_t *random,
		  struct qcow2_mutation *mutation);

#endif /* QCOW2_MUTATE_H */
