/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_PROGRESS_H
#define DMLIVE_PROGRESS_H

/*
 * The progress of a job: one line on a terminal that is redrawn in place. Where
 * standard error is not a terminal, nothing is drawn, but the rate is known all
 * the same.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *name;
	bool on_terminal;
	bool drawn;
	uint64_t start_ns;
	uint64_t last_ns;
	uint64_t last_bytes;
	double rate;		/* bytes/s, smoothed; 0: not known */
};

void progress_init(struct progress *progress, const char *name);

/*
 * @done_bytes of @total_bytes are done, and the job is @state ("running" is not
 * shown).
 */
void progress_update(struct progress *progress, uint64_t done_bytes,
		     uint64_t total_bytes, const char *state);

/*
 * The line that progress_update() draws, as wide as the terminal is. @total_bytes is not 0.
 */
void progress_compose(const struct progress *progress, uint64_t done_bytes,
		      uint64_t total_bytes, const char *state, char *line,
		      size_t line_bytes);

/* Seconds that are left at the present rate; -1: not known. */
int64_t progress_seconds_left(const struct progress *progress,
			      uint64_t done_bytes, uint64_t total_bytes);

/* Make room for other output: the line is drawn again by the next update. */
void progress_clear(struct progress *progress);

#endif /* DMLIVE_PROGRESS_H */
