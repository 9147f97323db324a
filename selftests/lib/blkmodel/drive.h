/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BLKMODEL_DRIVE_H
#define BLKMODEL_DRIVE_H

/*
 * Random I/O to a device by many threads, with each step recorded in the model.
 */

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

enum op {
	OP_READ,
	OP_WRITE,
	OP_DISCARD,
	OP_ZERO,
	OP_FLUSH,
	OP_FUA,
	NR_OPS
};

extern const char *const op_names[NR_OPS];

/**
 * struct drive - parameters and results
 * @fd: the device, O_DIRECT
 * @weights: frequency of each operation, relative to the sum
 * @min_io_bytes: smallest length of an operation; a multiple of @align_bytes
 * @max_io_bytes: largest length
 * @align_bytes: offsets and lengths are multiples of it
 * @block_bytes: block size of the target under test; many steps are near its multiples
 * @max_ops: stop after this number of operations, 0: no limit
 * @deadline_s: stop at this time of CLOCK_MONOTONIC, 0: no limit
 * @errors_allowed: I/O errors are counted and do not end the run
 * @done: out: operations that succeeded
 * @failed: out: operations that ended with an error
 */
struct drive {
	int fd;
	struct model *model;
	uint64_t seed;
	unsigned int nr_threads;
	unsigned int weights[NR_OPS];
	uint64_t min_io_bytes, max_io_bytes, align_bytes, block_bytes;
	uint64_t max_ops;
	double deadline_s;
	bool errors_allowed;
	uint64_t done[NR_OPS];
	uint64_t failed[NR_OPS];

	/* private */
	uint64_t started;
	bool stop;
	bool wrong;
};

/** drive_run - run it. Return: false if wrong data was read */
bool drive_run(struct drive *drive);

/** drive_verify - read and check all of the device. Return: as drive_run(). */
bool drive_verify(struct drive *drive);

double now_s(void);

#endif /* BLKMODEL_DRIVE_H */
