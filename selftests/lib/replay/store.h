/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_STORE_H
#define REPLAY_STORE_H

/*
 * The bitmap store on the metadata device, read through the checks that the kernel
 * makes: a store that it would refuse is lost.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../dm-live/qcow2/directory.h"

#define STORE_MAX_BITMAPS	16

struct store {
	const uint8_t *meta;
	uint64_t meta_bytes;
	struct qcow2_store_header header;
	struct qcow2_store_bitmap bitmaps[STORE_MAX_BITMAPS];
	struct qcow2_store_error error;
};

/*
 * Read header and directory; @meta: the device as a whole, of @meta_bytes. Returns
 * false, with @store->error, if the store would be refused.
 */
bool store_read(struct store *store, const uint8_t *meta, uint64_t meta_bytes);

/* NULL: there is none of that name. */
const struct qcow2_store_bitmap *store_find(const struct store *store, const char *name);

/* A part of the device; NULL if it reaches beyond. */
const uint8_t *store_at(const struct store *store, uint64_t offset, uint64_t bytes);

/* Set @store->error. Returns false. */
bool store_refuse(struct store *store, const char *text);

#endif /* REPLAY_STORE_H */
