/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_JOB_FILES_H
#define DMLIVE_BACKUP_JOB_FILES_H

/*
 * The images of one volume that a job of dmlive-backup.d(5) has made, in its folder. The
 * job counts as their maker if their name is @prefix, a time_stamp() and a suffix, they are
 * backups with its bitmap, and nobody has written to them since.
 */

#include <stdbool.h>
#include <stdint.h>

struct job_files {
	const char *folder;
	const char *prefix;
	const char *bitmap;
};

#define JOB_SUFFIX ".qcow2"

/* Remove what killed runs have left. Nobody else may run the job. */
void job_files_remove_partial(const struct job_files *set);

/*
 * Is the newest image the @nr-th of its chain, or is the full backup of that @days old?
 * 0: this does not count.
 */
bool job_files_full_is_due(const struct job_files *set, unsigned int nr,
			   unsigned int days);

struct job_removed {
	unsigned int nr;
	uint64_t bytes;
};

/*
 * Remove all but @nr_chains chains: that of @newest, the name of a backup that is
 * durable, and those with the latest full backups. What another image lies on stays, and
 * what is in use. Adds to @removed. 0, or a negative errno after a message.
 */
int job_files_keep(const struct job_files *set, const char *newest,
		   unsigned int nr_chains, struct job_removed *removed);

#endif /* DMLIVE_BACKUP_JOB_FILES_H */
