// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive backup --job`: one run of a job. The images are called JOB.VOLUME.TIME.qcow2; each
 * is based on the one before, which is found as --base auto does. What is old is removed
 * once the new ones are durable.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/increment.h"
#include "backup/job-files.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "base/time.h"
#include "cmd/backup-job.h"
#include "cmd/cmd.h"
#include "qcow2/backup-record.h"

#define LOCK_FOLDER	"/run/dmlive-backup"
#define PREFIX_BYTES	200

struct run {
	struct job job;
	struct backup_request *request;
	const struct backup_command *command;
	char prefixes[BACKUP_MAX_VOLUMES][PREFIX_BYTES];
	char time[TIME_STAMP_LENGTH + 1];
	struct job_removed removed;
};

/* The lock ends with the process. */
static int lock(const struct job *job)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), LOCK_FOLDER "/%s.lock", job->name);
	if (mkdir(LOCK_FOLDER, 0755) && errno != EEXIST) {
		error_errno(errno, LOCK_FOLDER);
		return EXIT_ERROR;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_errno(errno, "%s", path);
		return EXIT_ERROR;
	}
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return EXIT_OK;
	error("job %s is running already; wait until it has ended", job->name);
	close(fd);
	return EXIT_REFUSED;
}

static int check_folder(const struct job *job)
{
	int fd = open(job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		return EXIT_OK;
	}
	error("%s: Folder=%s: %s; make it, or mount its file system", job->path,
	      job->folder, strerror(errno));
	return EXIT_ERROR;
}

/* "vg/vm1" and "/dev/vg/vm1" become "vg-vm1". */
static void name_volume(const struct job *job, const char *volume,
			char prefix[PREFIX_BYTES])
{
	char *at;

	if (!strncmp(volume, "/dev/", 5))
		volume += 5;
	if (!strncmp(volume, "mapper/", 7))
		volume += 7;
	snprintf(prefix, PREFIX_BYTES, "%s.%.127s.", job->name, volume);
	for (at = prefix; *at; at++)
		if (*at == '/')
			*at = '-';
		else if (!isalnum((unsigned char)*at) && !strchr("+_.-", *at))
			*at = '_';
}

static int name_outputs(struct run *run)
{
	struct backup_request *request = run->request;
	const struct job *job = &run->job;
	unsigned int i, j;
	char *output;

	for (i = 0; i < job->nr_volumes; i++) {
		name_volume(job, job->volumes[i], run->prefixes[i]);
		for (j = 0; j < i; j++) {
			if (strcmp(run->prefixes[i], run->prefixes[j]))
				continue;
			error("%s: Volume=%s and Volume=%s would have images of the same name; make a job for each",
			      job->path, job->volumes[j], job->volumes[i]);
			return EXIT_USAGE;
		}
		if (asprintf(&output, "%s/%s%s" JOB_SUFFIX, job->folder,
			     run->prefixes[i], run->time) < 0) {
			error("out of memory");
			return EXIT_ERROR;
		}
		request->pairs[i] = (struct backup_pair){
			.name = job->volumes[i],
			.output = output,
		};
	}
	request->nr_pairs = job->nr_volumes;
	return EXIT_OK;
}

static struct job_files files_of(const struct run *run, unsigned int i)
{
	return (struct job_files){
		.folder = run->job.folder,
		.prefix = run->prefixes[i],
		.bitmap = run->request->bitmap,
	};
}

/* Decide between a new chain and increments. */
static void plan(struct run *run)
{
	struct backup_request *request = run->request;
	struct job_files set;
	unsigned int i;

	for (i = 0; i < run->job.nr_volumes; i++) {
		set = files_of(run, i);
		job_files_remove_partial(&set);
		if (!request->no_full &&
		    job_files_full_is_due(&set, run->job.full_every,
					  run->job.full_days))
			request->full = true;
	}
	if (!request->full)
		request->bases[request->nr_bases++] = BACKUP_BASE_AUTO;
}

static int remove_old(struct run *run)
{
	struct job_files set;
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; run->job.keep_chains && i < run->job.nr_volumes; i++) {
		set = files_of(run, i);
		if (job_files_keep(&set,
				   strrchr(run->request->pairs[i].output, '/') + 1,
				   run->job.keep_chains, &run->removed))
			status = EXIT_ERROR;
	}
	return status;
}

/* One line for the journal. */
static void summarize(const struct run *run, int status)
{
	unsigned int i, nr_full = 0;
	char bytes[SIZE_TEXT_BYTES];
	struct backup_record record;

	if (status) {
		error("job %s: failed with status %d, see above", run->job.name,
		      status);
		return;
	}
	for (i = 0; i < run->job.nr_volumes; i++) {
		base_record_of(run->request->pairs[i].output, &record);
		nr_full += !record.base_generation && !record.base_identity;
		backup_record_free(&record);
	}
	if (!run->request->json)
		printf("job %s: complete, %u full and %u incremental images; %u old ones removed (%s)\n",
		       run->job.name, nr_full, run->job.nr_volumes - nr_full,
		       run->removed.nr, size_format(run->removed.bytes, bytes));
}

/* What `dmlive status --metrics` prints goes to @fd. */
static int print_metrics(int fd)
{
	char *arguments[] = { "status", "--metrics", NULL };
	int saved = dup(STDOUT_FILENO);
	int status;

	fflush(stdout);
	if (saved < 0 || dup2(fd, STDOUT_FILENO) < 0)
		return EXIT_ERROR;
	/* Its status may be about a device of which the figures are no part. */
	cmd_status(2, arguments);
	status = fflush(stdout) || !lseek(fd, 0, SEEK_CUR) ? EXIT_ERROR : EXIT_OK;
	dup2(saved, STDOUT_FILENO);
	close(saved);
	return status;
}

/* In one step, for node_exporter may read it at any time: only what ends in .prom. */
static int write_metrics(const char *path)
{
	char temporary[PATH_MAX + 16];
	int fd, status = EXIT_ERROR;

	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		error_errno(errno, "MetricsFile=%s", path);
		return status;
	}
	if (!fchmod(fd, 0644))
		status = print_metrics(fd);
	if (!status && rename(temporary, path)) {
		error_errno(errno, "MetricsFile=%s", path);
		status = EXIT_ERROR;
	}
	close(fd);
	if (status)
		unlink(temporary);
	return status;
}

static int run_locked(struct run *run)
{
	int status = check_folder(&run->job), after_status = EXIT_OK, r;

	run->request->after_status = &after_status;
	if (!status)
		status = name_outputs(run);
	if (!status) {
		plan(run);
		status = run->command->run(run->request);
		if (!status)
			status = remove_old(run);
	}
	summarize(run, status);
	if (!status)
		status = after_status;
	if (run->job.metrics_file) {
		r = write_metrics(run->job.metrics_file);
		if (!status)
			status = r;
	}
	return status;
}

int backup_job_run(const char *job_name, struct backup_request *request,
		   const struct backup_command *command)
{
	static struct run run;
	int status = backup_job_read(job_name, &run.job, request,
				     command);

	if (status)
		return status;
	run.request = request;
	run.command = command;
	if (!request->bitmap)
		request->bitmap = run.job.name;
	time_stamp(run.time);
	status = lock(&run.job);
	return status ? status : run_locked(&run);
}
