// SPDX-License-Identifier: GPL-2.0-only
/* Files in /etc/dmlive/backup.d: see dmlive-backup.d(5). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf-file.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "base/words.h"
#include "cmd/backup-job.h"

#define SUFFIX		".conf"
#define MAX_COUNT	100000

/* @option: of the command; NULL: only a job has it. @several: may be given again. */
static const struct key {
	const char *name;
	const char *option;
	bool several;
} keys[] = {
	{ "After", "after", false },
	{ "Before", "before", false },
	{ "Bitmap", "bitmap", false },
	{ "CbwTimeout", "cbw-timeout", false },
	{ "ClusterSize", "cluster-size", false },
	{ "Compression", "compression", false },
	{ "Fleece", "fleece", true },
	{ "Folder", NULL, false },
	{ "FreezeTimeout", "freeze-timeout", false },
	{ "FullEvery", NULL, false },
	{ "HookTimeout", "hook-timeout", false },
	{ "KeepChains", NULL, false },
	{ "MetricsFile", NULL, false },
	{ "OnCbwError", "on-cbw-error", false },
	{ "Speed", "speed", false },
	{ "Threads", "threads", false },
	{ "Volume", NULL, true },
};

#define NR_KEYS (sizeof(keys) / sizeof(keys[0]))

struct progress {
	struct job *job;
	struct backup_request *request;
	const struct backup_command *command;
	unsigned int seen;		/* a bit for each of keys[] */
	bool has_failed;
};

static void take_problem(void *context, unsigned int line, const char *text)
{
	struct progress *progress = context;

	progress->has_failed = true;
	if (line)
		error("%s:%u: %s", progress->job->path, line, text);
	else
		error("%s: %s", progress->job->path, text);
}

/* Where the option is that a message is about; for add_place(). */
static struct progress *place;
static unsigned int place_line;

static void add_place(enum log_level level, const char *text)
{
	if (level == LOG_LEVEL_INFO)
		return;
	log_set_sink(NULL);
	take_problem(place, place_line, text);
	log_set_sink(add_place);
}

static void take_option(struct progress *progress, unsigned int line,
			const char *option, const char *value)
{
	place = progress;
	place_line = line;
	log_set_sink(add_place);
	if (!progress->command->take(option, value, progress->request))
		progress->has_failed = true;
	log_set_sink(NULL);
}

static const char *take_count(const char *value, unsigned int *count)
{
	uint64_t number;

	if (number_parse(value, MAX_COUNT, &number) || !number)
		return "must be a number from 1 to 100000";
	*count = number;
	return NULL;
}

/* A number of backups, or of days: "30d". */
static const char *take_full_every(const char *value, struct job *job)
{
	char number[16];
	size_t length = stem_length(value, "d");

	snprintf(number, sizeof(number), "%.*s",
		 (int)(length ? length : strlen(value)), value);
	return take_count(number, length ? &job->full_days : &job->full_every) ?
	       "must be a number of backups, or of days, such as 30d" : NULL;
}

static const char *take_path(const char *value, const char **path)
{
	*path = value;
	return *value == '/' ? NULL : "must be an absolute path";
}

static const char *take_volume(const char *value, struct job *job)
{
	if (job->nr_volumes == BACKUP_MAX_VOLUMES)
		return "there are too many volumes for one job";
	job->volumes[job->nr_volumes++] = value;
	return NULL;
}

/* Of a setting that only a job has. Returns what is wrong. */
static const char *take_own(const char *key, const char *value,
			    struct job *job)
{
	if (!strcmp(key, "Folder"))
		return take_path(value, &job->folder);
	if (!strcmp(key, "MetricsFile"))
		return take_path(value, &job->metrics_file);
	if (!strcmp(key, "FullEvery"))
		return take_full_every(value, job);
	if (!strcmp(key, "KeepChains"))
		return take_count(value, &job->keep_chains);
	return take_volume(value, job);
}

static const struct key *find_key(const char *name)
{
	const struct key *key;

	for (key = keys; key < keys + NR_KEYS; key++)
		if (!strcmp(key->name, name))
			return key;
	return NULL;
}

static void take(void *context, unsigned int line, const char *name,
		 const char *value)
{
	struct progress *progress = context;
	const struct key *key = find_key(name);
	const char *problem = NULL, *copy;
	char text[256];

	if (!key)
		problem = "there is no such setting; see dmlive-backup.d(5)";
	else if (progress->seen & 1u << (key - keys) && !key->several)
		problem = "is given twice";
	else if (!*value)
		problem = "needs a value";
	if (!problem) {
		progress->seen |= 1u << (key - keys);
		/* Kept until the process ends, as the command line is. */
		copy = strdup(value);
		if (!copy)
			problem = "out of memory";
		else if (key->option)
			take_option(progress, line, key->option, copy);
		else
			problem = take_own(name, copy, progress->job);
	}
	if (!problem)
		return;
	snprintf(text, sizeof(text), "%.64s=%.96s: %s", name, value, problem);
	take_problem(progress, line, text);
}

/* It becomes a part of the names of files, up to the first dot. */
static bool is_name(const char *name)
{
	const char *at;

	for (at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-_", *at))
			return false;
	return *name && *name != '-' && at - name < JOB_NAME_BYTES;
}

static int find_file(const char *argument, struct job *job)
{
	const char *slash = strrchr(argument, '/');
	const char *base = slash ? slash + 1 : argument;
	size_t length = slash ? stem_length(base, SUFFIX) : 0;

	snprintf(job->path, sizeof(job->path), slash ? "%s" : JOB_FOLDER "/%s" SUFFIX,
		 argument);
	snprintf(job->name, sizeof(job->name), "%.*s",
		 (int)(length ? length : strlen(base)), base);
	if (is_name(job->name) && strlen(base) < JOB_NAME_BYTES)
		return EXIT_OK;
	error("--job %s: the name of a job has letters, digits, '-' and '_', at most %d",
	      argument, JOB_NAME_BYTES - 6);
	return EXIT_USAGE;
}

int backup_job_read(const char *job_name, struct job *job,
		    struct backup_request *request,
		    const struct backup_command *command)
{
	struct progress progress = {
		.job = job,
		.request = request,
		.command = command,
	};
	const struct conf_reader reader = {
		.section = "[Backup]",
		.runs_commands = true,
		.take = take,
		.problem = take_problem,
		.context = &progress,
	};
	int status;

	memset(job, 0, sizeof(*job));
	status = find_file(job_name, job);
	if (status)
		return status;
	conf_read(job->path, &reader);
	if (!progress.has_failed && !job->nr_volumes)
		take_problem(&progress, 0,
			     "Volume= is missing: a line for each volume");
	if (!progress.has_failed && !job->folder)
		take_problem(&progress, 0,
			     "Folder= is missing: where the images are to be");
	return progress.has_failed ? EXIT_USAGE : EXIT_OK;
}
