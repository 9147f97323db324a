/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CRASH_PROMISE_H
#define CRASH_PROMISE_H

/*
 * What the device may show: the journal of the guest, and what of it has been
 * promised to be durable so far.
 *
 * A sector may show the newest write that is durable or any newer one; if none
 * is durable yet, also what the backing holds. Zeros also if it was zeroed or
 * discarded since. Anything else breaks the promise.
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
 * A mark of the log: more is durable now. Calls @raised for each sector of which
 * more is promised than before. Returns false if it is no mark of the guest's.
 */
bool promise_mark(struct promise *promise, const char *text,
		  void (*raised)(void *context, uint64_t sector),
		  void *context);

/*
 * May @sector show @data, when the backing shows @backing there? If not, @text
 * says why.
 */
bool promise_allows(const struct promise *promise, uint64_t sector,
		    const void *data, const void *backing,
		    char text[PROMISE_TEXT_BYTES]);

#endif /* CRASH_PROMISE_H */
