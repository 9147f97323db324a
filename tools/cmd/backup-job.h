/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_BACKUP_JOB_H
#define DMLIVE_CMD_BACKUP_JOB_H

/* `dmlive backup --job`: see dmlive-backup.d(5). Functions return an exit status. */

#include <limits.h>
#include <stdbool.h>

#include "backup/backup.h"

#define JOB_FOLDER	"/etc/dmlive/backup.d"
#define JOB_NAME_BYTES	65

/*
 * What a job needs of the command. @take: the option @name, without its dashes, with a
 * value that stays; false after a message. @run: check the request, and make the backup.
 */
struct backup_command {
	bool (*take)(const char *name, const char *value,
		     struct backup_request *request);
	int (*run)(struct backup_request *request);
};

/*
 * @path: of its file
 * @name: of the file, without suffix
 * @keep_chains: 0: all
 * @full_every, @full_days: 0: never
 */
struct job {
	char path[PATH_MAX];
	char name[JOB_NAME_BYTES];
	const char *volumes[BACKUP_MAX_VOLUMES];
	unsigned int nr_volumes;
	const char *folder;
	const char *metrics_file;
	unsigned int keep_chains;
	unsigned int full_every;
	unsigned int full_days;
};

/* backup-job-file.c: read the file; @request gets the options that it has. */
int backup_job_read(const char *job_name, struct job *job,
		    struct backup_request *request,
		    const struct backup_command *command);

/* backup-job.c: @request: the defaults, and what the command line says. */
int backup_job_run(const char *job_name, struct backup_request *request,
		   const struct backup_command *command);

#endif /* DMLIVE_CMD_BACKUP_JOB_H */
