/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_READER_H
#define DMLIVE_BACKUP_READER_H

/*
 * Threads that read the views of volumes and write their images. Each chunk is
 * discarded in the view as soon as it is read: from then on, guest writes there need
 * no copy, and its slots of the fleece device are free. So nothing can be read twice,
 * and the first failure ends the whole copy.
 */

#include <stdbool.h>
#include <stdint.h>

#include "backup/volume.h"

struct reader;

/*
 * Start to copy the scopes of those volumes that have a view, in order. @speed: bytes/s
 * of all threads together, 0: no limit. @nr_threads: 0: the default. NULL, after a
 * message, if it fails.
 */
struct reader *reader_start(struct volume *volumes, unsigned int nr,
			    uint64_t speed, unsigned int nr_threads);

/* Wait at most @ms for the threads to end. True: all have ended. */
bool reader_wait(struct reader *reader, unsigned int ms);

/* Bytes that have been read and written. */
uint64_t reader_done_bytes(struct reader *reader);

/* Why copying failed, or NULL. Valid until reader_free(). */
const char *reader_failure(struct reader *reader);

/* Stop the threads, wait for them, and free @reader, which may be NULL. */
void reader_free(struct reader *reader);

#endif /* DMLIVE_BACKUP_READER_H */
