/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_READER_H
#define DMLIVE_BACKUP_READER_H

/*
 * Threads that read the views of volumes and write their images. A chunk that was
 * read is discarded in the view at once: from then on guest writes there cost
 * nothing, and what it took of the fleece device is free again. So nothing is ever
 * read twice: the first failure ends it all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "backup/volume.h"

struct reader;

/*
 * Start to copy the scopes of those of the volumes that have a view, in order.
 * @speed: bytes/s over all threads, 0: no limit. @nr_threads 0: the default.
 * NULL, after a message, when that is not possible.
 */
struct reader *reader_start(struct volume *volumes, unsigned int nr,
			    uint64_t speed, unsigned int nr_threads);

/* Wait for the end, at most @ms. True: no thread is at work any more. */
bool reader_wait(struct reader *reader, unsigned int ms);

/* Bytes that are read and written. */
uint64_t reader_done_bytes(struct reader *reader);

/* Why it failed, or NULL. Valid until reader_free(). */
const char *reader_failure(struct reader *reader);

/* Stop, wait for the threads, and free. NULL is allowed. */
void reader_free(struct reader *reader);

#endif /* DMLIVE_BACKUP_READER_H */
