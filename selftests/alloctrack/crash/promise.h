/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CRASH_PROMISE_H
#define CRASH_PROMISE_H

/*
 * What the device may show: the journal of the guest, and which of its operations
 * have been promised to be durable so far.
 *
 * A sector may show its newest durable write or any newer one. As long as no write
 * is durable it may also show the content of the backing, and if it was zeroed or
 * discarded since its newest durable write, zeros. Anything else breaks the promise.
 */
#include <stddef.h>
#include <stdint.h>

#include "stamp.h"

#define PROMISE_TEXT_BYTES 200

struct promise {
	uint64_t nr_sectors;
	struct stamp_record *journal;
	uint64_t nr_records;

	uint64_t *by_ack;	/* numbers of records, in order of ack */
	uint64_t nr_acks;
	uint64_t nr_acks_done;

	/* Numbers of the operations on a sector: index[first[s]...] */
	uint64_t *first;
	uint64_t *index;
	uint64_t *durable;	/* for each sector: a number, or 0 */
};

/* Ends the program, with a message, on any error. */
void promise_open(struct promise *promise, const char *journal_path,
		  uint64_t nr_sectors);

/*
 * Take a mark of the log, after which more is durable. Calls @raised for each sector
 * with a new durable write. Returns false if the mark is not from the guest.
 */
bool promise_mark(struct promise *promise, const char *text,
		  void (*raised)(void *context, uint64_t sector),
		  void *context);

/*
 * May @sector show @data, where the backing has @backing? If not, @text says why.
 */
bool promise_allows(const struct promise *promise, uint64_t sector,
		    const void *data, const void *backing,
		    char text[PROMISE_TEXT_BYTES]);

#endif /* CRASH_PROMISE_H */
