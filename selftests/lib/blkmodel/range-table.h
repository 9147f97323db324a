/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BLKMODEL_RANGE_TABLE_H
#define BLKMODEL_RANGE_TABLE_H

/*
 * Which thread works on which sectors, so that nothing changes while data is read and
 * compared. Each thread holds at most one range.
 */

#include <stdbool.h>
#include <stdint.h>

#define MAX_THREADS 64

/** range_enter - sleep until no other thread is in the range */
void range_enter(unsigned int thread, uint64_t first, uint64_t nr,
		 bool exclusive);

void range_leave(unsigned int thread);

#endif /* BLKMODEL_RANGE_TABLE_H */
