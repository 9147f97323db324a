// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive resume --all`: all unfinished restores, each in a server process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/systemd.h"
#include "block/require.h"
#include "cmd/resume-all.h"
#include "restore/metadata.h"
#include "restore/runtime.h"
#include "restore/unfinished.h"

#define UNIT_PREFIX "dmlive-server@"

/* A restore that is being resumed. */
struct job {
	const struct unfinished *restore;
	pid_t pid;			/* 0: it has ended, or never began */
};

static void say(const struct unfinished *restore, bool json, const char *state,
		int status)
{
	struct json_object *object;

	if (!json) {
		/* Why not stands in its messages. */
		printf("%s: %s%s%s\n", restore->path, restore->name,
		       restore->name[0] ? " " : "", state);
		fflush(stdout);
		return;
	}
	object = json_new_object();
	json_add_string(object, "event", "resume");
	json_add_string(object, "from", restore->path);
	json_add_string(object, "name", restore->name[0] ? restore->name : NULL);
	json_add_string(object, "target",
			restore->volume[0] ? restore->volume : NULL);
	json_add_string(object, "state", state);
	json_add_number(object, "status", status);
	json_print_line(object);
}

static bool is_same_volume(const struct unfinished *a, const struct unfinished *b)
{
	if (a->identity[0] && b->identity[0])
		return !strcmp(a->identity, b->identity);
	return a->volume[0] && !strcmp(a->volume, b->volume);
}

/*
 * One of two is stale. Resuming it would write an old image over newer data. Another machine
 * may be at work on the volume; what it calls its devices says nothing here.
 */
static bool is_rival(const struct unfinished *restore,
		     const struct unfinished *other)
{
	switch (other->whose) {
	case UNFINISHED_FOREIGN:
		return restore->identity[0] &&
		       !strcmp(restore->identity, other->identity);
	case UNFINISHED_COPY:
		return false;
	default:
		return is_same_volume(other, restore) ||
		       (restore->name[0] && !strcmp(other->name, restore->name));
	}
}

static const struct unfinished *find_rival(const struct unfinished_list *list,
					   const struct unfinished *restore)
{
	const struct unfinished *other;

	for (other = list->restores; other < list->restores + list->nr; other++)
		if (other != restore && is_rival(restore, other))
			return other;
	return NULL;
}

static int refuse_rival(const struct unfinished *restore,
			const struct unfinished *rival)
{
	error("%s and %s both hold an unfinished restore of the same %s, so none of them is resumed; resume the right one (dmlive resume %s), and wipe the other one if it was given up",
	      restore->path, rival->path,
	      is_same_volume(restore, rival) ? "volume" : "name", restore->path);
	return EXIT_REFUSED;
}

/* What a foreign one says is not printed as it is: anybody may have written it. */
static int leave_alone(const struct unfinished *restore, bool json)
{
	const bool is_foreign = restore->whose == UNFINISHED_FOREIGN;
	const int status = is_foreign ? EXIT_OK : EXIT_REFUSED;

	if (json)
		say(restore, json, is_foreign ? "foreign" : "uncertain", status);
	else if (is_foreign)
		printf("%s: is not known to be a restore of this machine; if it is one, and no other machine serves it: dmlive resume %s\n",
		       restore->path, restore->path);
	if (restore->whose == UNFINISHED_COPY)
		error("%s holds the metadata of a restore, but they were made on another device: what they describe may be over long since; if they are right: dmlive resume %s; if not, wipe them",
		      restore->path, restore->path);
	else if (!is_foreign)
		error("%s holds an unfinished restore, but it or its volume is a device without an identity, such as a UUID or a serial number, so it may be another one now; if %s is right: dmlive resume %s",
		      restore->path, restore->volume, restore->path);
	return status;
}

/* Its progress is not shown. */
static int resume_quietly(const char *path, int (*resume)(const char *path))
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		dup2(fd, STDOUT_FILENO);
	return resume(path);
}

static int start_process(struct job *job, int (*resume)(const char *path))
{
	fflush(NULL);
	job->pid = fork();
	if (!job->pid)
		_exit(resume_quietly(job->restore->path, resume));
	if (job->pid > 0)
		return EXIT_OK;
	job->pid = 0;
	error_errno(errno, "%s: cannot start a process", job->restore->path);
	return EXIT_ERROR;
}

/* Wait for one of those that are under way, and say how it ended. */
static int take_end(struct job *jobs, unsigned int nr, bool json)
{
	int wait_status, status = EXIT_ERROR;
	struct job *job;
	pid_t pid = wait(&wait_status);

	if (pid < 0 && errno == EINTR)
		return EXIT_OK;
	for (job = jobs; job < jobs + nr; job++)
		if (job->pid == pid)
			break;
	/* Or the reader of a device that did not answer. */
	if (job == jobs + nr && pid > 0)
		return EXIT_OK;
	if (job == jobs + nr) {
		error_errno(errno, "cannot wait for the servers");
		memset(jobs, 0, nr * sizeof(*jobs));
		return EXIT_ERROR;
	}
	job->pid = 0;
	if (WIFEXITED(wait_status))
		status = WEXITSTATUS(wait_status);
	say(job->restore, json, status ? "failed" : "resumed", status);
	return status;
}

static bool any_is_under_way(const struct job *jobs, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (jobs[i].pid)
			return true;
	return false;
}

static int start_unit(const struct unfinished *restore)
{
	char unit[NAME_MAX + 1];
	int r;

	if (!unit_name_of_path(UNIT_PREFIX, restore->path, ".service", unit,
			       sizeof(unit))) {
		error("%s: this path is too long for the name of a unit of systemd; resume it by hand: dmlive resume %s",
		      restore->path, restore->path);
		return EXIT_ERROR;
	}
	r = unit_start(unit, false, false);
	if (r < 0)
		error_errno(r, "%s: cannot run systemctl", restore->path);
	else if (r)
		error("%s: systemd did not take the job; see systemctl status '%s'",
		      restore->path, unit);
	return r ? EXIT_ERROR : EXIT_OK;
}

/* @resume: NULL: by its unit, whose job is only queued. */
static int begin(struct job *job, const struct unfinished_list *list, bool json,
		 int (*resume)(const char *path))
{
	const struct unfinished *rival;
	int status;

	if (job->restore->whose != UNFINISHED_OURS)
		return leave_alone(job->restore, json);
	rival = find_rival(list, job->restore);
	status = rival ? refuse_rival(job->restore, rival) :
		 resume ? start_process(job, resume) : start_unit(job->restore);
	if (status || !resume)
		say(job->restore, json, status ? "failed" : "queued", status);
	return status;
}

/*
 * All at the same time: one whose image does not answer must not hold up the others. Servers
 * that are units may wait for file systems that are mounted after this command has ended.
 */
static int begin_all(const struct unfinished_list *list, bool json,
		     int (*resume)(const char *path))
{
	struct job *jobs = calloc(list->nr, sizeof(*jobs));
	int status, worst = EXIT_OK;
	unsigned int i;

	if (!jobs) {
		error("out of memory");
		return EXIT_ERROR;
	}
	for (i = 0; i < list->nr; i++) {
		jobs[i].restore = &list->restores[i];
		status = begin(&jobs[i], list, json, resume);
		worst = worst ?: status;
	}
	while (any_is_under_way(jobs, list->nr)) {
		status = take_end(jobs, list->nr, json);
		worst = worst ?: status;
	}
	free(jobs);
	return worst;
}

/* What is left if all is done that can be done unasked. */
struct rest {
	bool json;
	unsigned int nr;
};

/*
 * A restore in place that no target has begun counts as none, but its volume is fenced; and
 * one without its metadata device cannot be found by that.
 */
static int say_fenced(const struct in_place *record, void *argument)
{
	struct unfinished restore = { .whose = UNFINISHED_OURS };
	char path[PATH_MAX], what[256];
	struct rest *rest = argument;

	if (record->complete || !dm_name_of_uuid(record->volume, restore.name) ||
	    dm_runs_target(restore.name, "alloctrack") ||
	    runtime_server(restore.name) ||
	    (*in_place_meta(record, path) &&
	     metadata_probe(path, what, sizeof(what)) != METADATA_PREPARED))
		return 0;
	rest->nr++;
	snprintf(restore.path, sizeof(restore.path), "%s",
		 dm_node_path(restore.name));
	if (rest->json)
		say(&restore, true, "fenced", EXIT_OK);
	else
		printf("%s: %s, and its I/O fails until then; to continue it: dmlive resume %s\n",
		       restore.path, *path ?
		       "its restore in place has not begun" :
		       "its restore in place needs its metadata device, which is not active",
		       restore.name);
	return 0;
}

int resume_all(bool with_systemd, bool json, int (*resume)(const char *path))
{
	struct rest rest = { .json = json };
	struct unfinished_list list;
	int status = require("resume", REQUIRE_DM);

	if (status)
		return status;
	in_place_for_each(say_fenced, &rest);
	if (unfinished_find(&list))
		status = EXIT_ERROR;
	else if (list.nr)
		status = begin_all(&list, json, with_systemd ? NULL : resume);
	else if (!json && !rest.nr)
		printf("There is no unfinished restore.\n");
	if (!status && list.nr_silent)
		status = EXIT_ERROR;
	unfinished_free(&list);
	return status;
}
