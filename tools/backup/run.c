// SPDX-License-Identifier: GPL-2.0-only
/*
 * A backup from the checks to its end. Whatever fails, what was made is undone in
 * reverse order, except that the guest's devices come first: they get their tables back
 * before anything else is cleaned up.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "backup/fleece-volume.h"
#include "backup/guest.h"
#include "backup/history.h"
#include "backup/hook.h"
#include "backup/reader.h"
#include "backup/recovery.h"
#include "backup/report.h"
#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/time.h"
#include "lines/cbw-status.h"

#define POLL_MS 100

/* Each attempt may find another device that was written to without its target. */
#define MAX_PLANS (BACKUP_MAX_VOLUMES + 1)

struct run {
	const struct backup_request *request;
	struct volume *volumes;
	unsigned int nr;		/* of volumes that volume_open() was called for */
	unsigned int nr_by_job;
	struct reader *reader;
	struct report report;
	struct backup_figures figures;
	bool ended[BACKUP_MAX_VOLUMES];	/* no session and no view is left */
	int hook_status;		/* of the command after the point in time */
};

static volatile sig_atomic_t got_signal;

static void take_signal(int number)
{
	got_signal = number;
}

/* A signal that is ignored, as by nohup(1), stays ignored. */
static void catch_signal(int number)
{
	/* Without SA_RESTART, so that the signal interrupts a suspend that waits. */
	struct sigaction action = { .sa_handler = take_signal }, old;

	if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

static void catch_signals(void)
{
	catch_signal(SIGINT);
	catch_signal(SIGTERM);
	catch_signal(SIGHUP);
	signal(SIGPIPE, SIG_IGN);
}

static bool is_interrupted(int *status)
{
	if (!got_signal || *status)
		return *status;
	error("interrupted");
	*status = EXIT_INCOMPLETE;
	return true;
}

/* The value of --fleece for a device: it is given once for each, or once for all. */
static int take_fleece(const struct run *run, unsigned int index,
		       const char **fleece)
{
	const struct backup_request *request = run->request;

	*fleece = NULL;
	if (!request->nr_fleeces)
		return EXIT_OK;
	if (request->nr_fleeces == 1) {
		*fleece = request->fleeces[0];
		if (request->nr_pairs == 1 || !path_is_blockdev(*fleece))
			return EXIT_OK;
	} else if (request->nr_fleeces == request->nr_pairs) {
		*fleece = request->fleeces[index];
		return EXIT_OK;
	}
	error("each device needs a fleece device of its own; give --fleece once for each, in order, or a folder for all");
	return EXIT_USAGE;
}

static int check_unique(const struct run *run, const struct volume *volume)
{
	const struct volume *other;

	for (other = run->volumes; other < volume; other++) {
		if (strcmp(other->output_path, volume->output_path))
			continue;
		error("%s is named as the output of two devices", volume->output);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int open_volumes(struct run *run)
{
	const struct backup_request *request = run->request;
	int status = EXIT_OK;

	while (run->nr < request->nr_pairs && !is_interrupted(&status)) {
		status = volume_open(&run->volumes[run->nr],
				     &request->pairs[run->nr]);
		run->nr++;
	}
	return status;
}

/* Device mapper does not refuse this: several tables may use the same device. */
static int check_shared(const struct run *run)
{
	const struct volume *end = run->volumes + run->nr, *volume, *other;

	for (volume = run->volumes; volume < end; volume++) {
		for (other = run->volumes; other < volume; other++) {
			if (strcmp(volume->old_data_number,
				   other->old_data_number))
				continue;
			error("%s would also get old data or the backup of %s; each device needs an output and a fleece device of its own",
			      volume->old_data, other->name);
			return EXIT_USAGE;
		}
	}
	return EXIT_OK;
}

/* Held until tables use the devices. Others may have taken one since it was checked. */
static int lock_devices(struct run *run)
{
	struct volume *volume;
	struct blockdev device;

	for (volume = run->volumes; volume < run->volumes + run->nr; volume++) {
		/* Nobody else can use the temporary file. */
		if (volume->old_data_fd >= 0)
			continue;
		if (blockdev_open(volume->old_data, &device))
			return EXIT_ERROR;
		volume->old_data_lock_fd = blockdev_lock(&device);
		if (volume->old_data_lock_fd < 0 ||
		    blockdev_check_unused(&device))
			return EXIT_REFUSED;
	}
	return EXIT_OK;
}

/* All checks come before the first write. */
static int check_destinations(struct run *run, const char **fleeces)
{
	struct volume *volume = run->volumes;
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; i < run->nr && !status; i++, volume++) {
		status = take_fleece(run, i, &fleeces[i]);
		if (!status)
			status = destination_check(run->volumes, run->nr,
						   volume, run->request,
						   fleeces[i]);
		if (!status)
			status = check_unique(run, volume);
		run->nr_by_job += volume->by_job;
	}
	volume = run->volumes;
	for (i = 0; i < run->nr && !status; i++, volume++)
		if (!volume->by_job)
			status = fleece_open(run->volumes, run->nr, volume,
					     fleeces[i], run->request->force);
	if (!status)
		status = check_shared(run);
	return status ? status : lock_devices(run);
}

/* Decide for each device between a full backup and an increment. */
static int plan_increments(struct run *run)
{
	const struct backup_request *request = run->request;
	int status = EXIT_OK;
	const char *base;
	unsigned int i;

	if (!request->bitmap)
		return EXIT_OK;
	for (i = 0; i < run->nr && !is_interrupted(&status); i++) {
		base = request->nr_bases ?
		       request->bases[request->nr_bases == 1 ? 0 : i] : NULL;
		if (base && !strcmp(base, BACKUP_BASE_NONE))
			base = NULL;
		status = increment_plan(run->volumes, run->nr,
					&run->volumes[i], request, base);
	}
	return status;
}

/* The share of each job in the speed limit, in bytes/s. */
static uint64_t job_speed(const struct run *run)
{
	uint64_t speed = run->request->speed / run->nr;

	return run->request->speed && !speed ? 1 : speed;
}

static int create_destinations(struct run *run)
{
	int status = EXIT_OK;
	unsigned int i;

	for (i = 0; i < run->nr && !is_interrupted(&status); i++) {
		status = destination_create(&run->volumes[i], run->request);
		if (!status)
			status = volume_compose(&run->volumes[i], run->request,
						job_speed(run));
	}
	return status;
}

static int begin_all(struct run *run, uint64_t *suspended_ns)
{
	struct hook hook;
	int status = hook_before(run->request, &hook);

	if (!is_interrupted(&status))
		status = point_in_time_begin(run->volumes, run->nr,
					     run->request->freeze_timeout_s,
					     run->request->guest, suspended_ns);
	/* The backup goes on nevertheless: it is as good as without the command. */
	if (hook_after(&hook))
		run->hook_status = EXIT_ERROR;
	return status;
}

static int begin(struct run *run)
{
	uint64_t suspended_ns, speed = run->request->speed;
	int status = EXIT_OK;
	unsigned int i;

	if (is_interrupted(&status))
		return status;
	status = begin_all(run, &suspended_ns);
	if (status)
		return status;
	for (i = 0; i < run->nr && !is_interrupted(&status); i++)
		if (!run->volumes[i].by_job)
			status = view_make(&run->volumes[i]);
	if (status)
		return status;
	report_point_in_time(&run->report, run->volumes, run->nr, suspended_ns);
	if (run->nr_by_job == run->nr)
		return EXIT_OK;
	/* The reader gets what the jobs leave. Each device gets at least 1 byte/s. */
	if (speed && speed < run->nr)
		speed = run->nr;
	speed -= speed ? job_speed(run) * run->nr_by_job : 0;
	run->reader = reader_start(run->volumes, run->nr, speed,
				   run->request->nr_threads);
	return run->reader ? EXIT_OK : EXIT_ERROR;
}

/*
 * When a device was suspended, the kernel has noticed that its origin was written to
 * without the target. So everything counts as changed.
 */
static int forget_plans(struct run *run)
{
	struct volume *volume;

	for (volume = run->volumes; volume < run->volumes + run->nr; volume++) {
		destination_abort(volume);
		increment_forget(&volume->increment);
		free(volume->during);
		volume->during = NULL;
		/* The scope of an increment is not that of a full backup. */
		extents_free(&volume->scope);
		if (extents_add(&volume->scope, 0, volume->bytes))
			return EXIT_ERROR;
	}
	return EXIT_OK;
}

/* Plan the backups, and begin the sessions. */
static int plan_and_begin(struct run *run)
{
	int status, tries = 0;

	for (;;) {
		status = plan_increments(run);
		if (!status)
			status = create_destinations(run);
		if (!status)
			status = begin(run);
		if (status != POINT_IN_TIME_STALE || ++tries == MAX_PLANS)
			break;
		status = forget_plans(run);
		if (status)
			return status;
	}
	if (status != POINT_IN_TIME_STALE)
		return status;
	error("some changes were not tracked, and the kernel does not know which; make a full backup: --full");
	return EXIT_REFUSED;
}

static int get_status(const struct volume *volume, struct cbw_status *status)
{
	if (!cbw_status_get(volume->name, status, NULL) &&
	    status->session != CBW_SESSION_NONE)
		return EXIT_OK;
	error("%s: the session is gone: somebody has removed the device or loaded another table",
	      volume_called(volume));
	return EXIT_INCOMPLETE;
}

/* @is_done: a view is read completely, a job is complete. */
static int check_volume(const struct volume *volume,
			const struct cbw_status *status, bool *is_done)
{
	if (status->session == CBW_SESSION_BROKEN) {
		session_explain_broken(volume, status);
		return EXIT_INCOMPLETE;
	}
	if (!volume->by_job) {
		*is_done = !status->scope_blocks;
		return EXIT_OK;
	}
	*is_done = status->session == CBW_SESSION_COMPLETE;
	/* The job becomes complete shortly before the session does. */
	if (*is_done || status->job == CBW_JOB_RUNNING ||
	    status->job == CBW_JOB_PAUSED || status->job == CBW_JOB_COMPLETE)
		return EXIT_OK;
	error("%s: the job that copies to %s is %s (%" PRIu64 " errors of the device, %" PRIu64 " of the output); see the kernel log",
	      volume_called(volume), volume->old_data, cbw_job_name(status->job),
	      status->source_errors, status->target_errors);
	return EXIT_INCOMPLETE;
}

static void add_figures(struct backup_figures *figures,
			const struct volume *volume,
			const struct cbw_status *status)
{
	figures->total_bytes += volume->scope.total_bytes;
	figures->cow_writes += status->cow_writes;
	figures->fleece_used_bytes += status->slots_used * status->block_bytes;
	if (volume->by_job)
		figures->done_bytes += status->job_bytes;
}

/* Check all sessions. @is_done: nothing is left to be copied. */
static int check_volumes(struct run *run, bool *is_done)
{
	struct cbw_status status;
	unsigned int i;
	bool volume_is_done;
	int r;

	memset(&run->figures, 0, sizeof(run->figures));
	*is_done = true;
	for (i = 0; i < run->nr; i++) {
		r = get_status(&run->volumes[i], &status);
		if (!r)
			r = check_volume(&run->volumes[i], &status,
					 &volume_is_done);
		if (r)
			return r;
		*is_done = *is_done && volume_is_done;
		add_figures(&run->figures, &run->volumes[i], &status);
	}
	if (run->reader)
		run->figures.done_bytes += reader_done_bytes(run->reader);
	return EXIT_OK;
}

/* If a session broke, that is the better reason. */
static int explain_failure(struct run *run)
{
	bool is_done;
	int status = check_volumes(run, &is_done);

	if (status)
		return status;
	error("%s", reader_failure(run->reader));
	return EXIT_INCOMPLETE;
}

static bool wait_for_reader(struct run *run)
{
	/* Jobs of other devices may still run after the reader has ended. */
	if (run->reader && !reader_wait(run->reader, POLL_MS))
		return false;
	if (run->nr_by_job)
		poll(NULL, 0, POLL_MS);
	return true;
}

/* Warn once about each device that was renamed: messages and JSON keep its old name. */
static void note_renames(struct run *run)
{
	struct volume *volume;
	const char *now;

	for (volume = run->volumes; volume < run->volumes + run->nr; volume++) {
		now = dm_name_now(volume->name);
		if (volume->is_renamed || !strcmp(now, volume->name))
			continue;
		volume->is_renamed = true;
		warning("%s is called %s now; its backup continues", volume->name,
			now);
	}
}

static int copy(struct run *run)
{
	bool ended, is_done = false;
	int status = EXIT_OK;

	while (!is_interrupted(&status)) {
		ended = wait_for_reader(run);
		note_renames(run);
		if (run->reader && reader_failure(run->reader))
			return explain_failure(run);
		status = check_volumes(run, &is_done);
		if (status)
			return status;
		report_figures(&run->report, &run->figures);
		if (ended && is_done)
			return EXIT_OK;
		if (ended && run->nr_by_job == 0) {
			error("not everything was read, though no read failed: this is a bug in dmlive or in the kernel module");
			return EXIT_INCOMPLETE;
		}
	}
	return status;
}

/* The session has ended. What else can be left behind if this process is killed? */
static void update_record(struct volume *volume)
{
	if (!volume->on_record)
		return;
	if (volume->writer || volume->output_fd >= 0) {
		recovery_narrow(volume, RECOVERY_OUTPUT);
	} else if (volume->fleece_volume.name[0]) {
		recovery_narrow(volume, RECOVERY_FLEECE);
	} else {
		recovery_forget(volume->name);
		volume->on_record = false;
	}
}

/* Give the guests' devices their tables back. */
static int end_sessions(struct run *run, bool cancel)
{
	int status = EXIT_OK, r;
	unsigned int i;

	/* Cancelling ends reads that wait for old data. */
	for (i = 0; cancel && i < run->nr; i++)
		if (run->volumes[i].in_session)
			dm_message(run->volumes[i].name, "session cancel");
	reader_free(run->reader);
	run->reader = NULL;
	for (i = 0; i < run->nr; i++) {
		if (run->volumes[i].in_session)
			increment_abort(&run->volumes[i]);
		r = view_remove(&run->volumes[i]);
		run->ended[i] = !session_end(&run->volumes[i]) && !r;
		if (run->ended[i])
			update_record(&run->volumes[i]);
		else
			status = EXIT_ERROR;
	}
	return status;
}

/* lvm2 may wait for long, so everything else comes first. */
static void remove_fleeces(struct run *run)
{
	struct volume *volume = run->volumes;
	unsigned int i;

	for (i = 0; i < run->nr; i++)
		if (run->ended[i])
			update_record(&volume[i]);
	for (i = 0; i < run->nr; i++) {
		if (!run->ended[i])
			continue;
		fleece_volume_remove(&volume[i]);
		update_record(&volume[i]);
	}
}

/* With a bitmap, the session still exists: commit it once the image is durable. */
static int finish_volume(struct volume *volume)
{
	int status = increment_describe(volume);

	if (!status)
		status = destination_finish(volume);
	return status ? status : increment_commit(volume);
}

static int finish(struct run *run)
{
	int status = EXIT_OK, r;
	unsigned int i;

	for (i = 0; i < run->nr; i++) {
		r = finish_volume(&run->volumes[i]);
		if (!r && run->ended[i])
			update_record(&run->volumes[i]);
		if (r)
			status = r;
		else if (run->nr > 1 && status)
			warning("%s, the backup of %s, is complete nevertheless",
				run->volumes[i].output,
				volume_called(&run->volumes[i]));
	}
	return status;
}

static int run_all(struct run *run)
{
	const char *fleeces[BACKUP_MAX_VOLUMES];
	int status, r;
	unsigned int i;

	status = open_volumes(run);
	if (!status)
		status = check_destinations(run, fleeces);
	if (!status)
		status = plan_and_begin(run);
	if (!status)
		status = copy(run);
	if (!status && run->request->bitmap)
		status = finish(run);
	r = end_sessions(run, status);
	if (!status && !run->request->bitmap)
		status = finish(run);
	if (!status)
		status = r;
	if (!status)
		status = guest_complete(run->request->guest, run->volumes,
					run->nr);
	for (i = 0; i < run->nr; i++)
		destination_abort(&run->volumes[i]);
	remove_fleeces(run);
	return status;
}

int backup_run(const struct backup_request *request)
{
	const uint64_t start_ns = monotonic_ns();
	struct run run = { .request = request };
	unsigned int i;
	int status;

	run.volumes = calloc(request->nr_pairs, sizeof(*run.volumes));
	if (!run.volumes) {
		error("out of memory");
		return EXIT_ERROR;
	}
	catch_signals();
	report_start(&run.report, request->json);
	status = run_all(&run);
	report_end(&run.report, run.volumes, run.nr, &run.figures, status);
	for (i = 0; i < run.nr; i++) {
		history_note(&run.volumes[i],
			     (monotonic_ns() - start_ns) / NS_PER_SECOND, status);
		volume_close(&run.volumes[i]);
	}
	free(run.volumes);
	if (!request->after_status)
		return status ? status : run.hook_status;
	*request->after_status = run.hook_status;
	return status;
}
