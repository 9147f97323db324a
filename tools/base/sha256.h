/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_SHA256_H
#define DMLIVE_SHA256_H

/* SHA-256, FIPS 180-4. */

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES	32

struct sha256 {
	uint32_t state[8];
	uint64_t bytes;
	uint8_t block[64];
};

void sha256_start(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t bytes);
void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_BYTES]);

#endif /* DMLIVE_SHA256_H */
