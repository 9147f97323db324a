/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_REPORT_H
#define DMLIVE_BACKUP_REPORT_H

/* The output of a backup: messages, a progress line, JSON. */

#include <stdbool.h>
#include <stdint.h>

#include "backup/volume.h"
#include "base/progress.h"

/* The progress of all volumes together. */
struct backup_figures {
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t cow_writes;		/* guest writes that waited for a copy */
	uint64_t fleece_used_bytes;
};

struct report {
	bool json;
	struct progress progress;
	uint64_t last_json_ns;
};

/*
 * Start to report: messages are printed beside the progress line, and with @json errors
 * are events too.
 */
void report_start(struct report *report, bool json);

/* All sessions have begun. @suspended_ns: for how long guest I/O was held. */
void report_point_in_time(struct report *report, const struct volume *volumes,
			  unsigned int nr, uint64_t suspended_ns);

void report_figures(struct report *report, const struct backup_figures *figures);

void report_end(struct report *report, const struct volume *volumes,
		unsigned int nr, const struct backup_figures *figures,
		int status);

#endif /* DMLIVE_BACKUP_REPORT_H */
