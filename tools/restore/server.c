// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of the server: prepare the device, report that it is usable, serve it until
 * all data are on the volume, swap it to a linear mapping, end.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/systemd.h"
#include "base/process.h"
#include "lines/status-line.h"
#include "restore/finish.h"
#include "restore/report.h"
#include "restore/metadata.h"
#include "restore/new-volume.h"
#include "restore/own-device.h"
#include "restore/server.h"
#include "restore/stack.h"
#include "restore/tracking.h"

#define POLL_MS 200

static void announce(struct server *server)
{
	server_set_needed(true);
	dm_pin(server->name);
	/* Messages went to the terminal; now they go to the log and the front end. */
	report_usable();
	report_take_messages(server->name);
	process_leave_terminal();
	if (server->nothing_left) {
		report_note("everything was on the volume already");
		return;
	}
	info("%s: serving it from %s", server->name, server->options.image);
	notify_status("%s: usable, the rest is streamed from %s", server->name,
		      server->options.image);
}

/* The kernel reads the image: wait for its events until the device is complete. */
static enum engine_end follow_kernel(struct server *server)
{
	enum dm_alloctrack_state last = DM_ALLOCTRACK_IDLE;
	struct alloctrack_status status;
	struct dm_device device;
	struct dm_line line;
	bool known;

	for (;;) {
		if (dm_get_line(server->name, DM_LINE_STATUS, &line, &device))
			return ENGINE_GONE;
		known = !strcmp(line.target, "alloctrack") &&
			!status_line_parse(line.params, &status);
		dm_line_free(&line);
		if (!known)
			return ENGINE_GONE;
		if (status.state != last)
			report_state(state_name(status.state));
		last = status.state;
		if (status.state == DM_ALLOCTRACK_COMPLETE)
			return ENGINE_COMPLETE;
		/* No busy loop if that fails. */
		if (dm_wait_event(server->name, device.event_nr))
			usleep(POLL_MS * 1000);
	}
}

/*
 * By somebody who gives the restore up, or is about to make the device again: only a
 * command resumes it then. At a shutdown, devices are removed too; and a restore in place
 * has a record, which stays when its volume is deactivated.
 */
static int judge_removed(struct server *server)
{
	error("%s was removed before all data were on the volume",
	      server->name);
	if (server->options.meta && !server->in_place && system_is_running())
		metadata_forget_machine(server->options.meta);
	return EXIT_INCOMPLETE;
}

/* The device has another table: find out why. */
static int judge_gone(struct server *server)
{
	struct dm_line line;
	bool finished;

	if (dm_get_line(server->name, DM_LINE_TABLE, &line, NULL))
		return judge_removed(server);
	finished = server->in_place ?
		   in_place_is_over(server->options.uuid) :
		   !strcmp(line.target, "linear");
	dm_line_free(&line);
	if (finished) {
		info("%s: finished by another process", server->name);
		return EXIT_OK;
	}
	error("%s has another table now, so this process stops serving it%s%s",
	      server->name,
	      server->in_place ? "; to continue its restore: dmlive resume " : "",
	      server->in_place ? server->name : "");
	return EXIT_INCOMPLETE;
}

/* Suspended by someone else: wait until it is resumed. */
static void wait_while_suspended(struct server *server)
{
	struct dm_device device;

	while (!server_is_interrupted() &&
	       !dm_get_device(server->name, &device) && device.suspended)
		usleep(POLL_MS * 1000);
}

static int end_complete(struct server *server)
{
	int status = EXIT_OK;

	server_set_needed(false);
	notify_status("%s: all data are on the volume", server->name);
	info("%s: all data are on the volume", server->name);
	wait_while_suspended(server);
	if (!server->options.no_finish && finish_device(server->name)) {
		error("%s is complete, but still an alloctrack device; try again: dmlive finish %s",
		      server->name, server->name);
		status = EXIT_ERROR;
	}
	/* Writes to parts of blocks may still wait for a reply. */
	if (server->engine)
		engine_drain(server->engine);
	return status;
}

static int serve(struct server *server)
{
	enum engine_end end;
	int status;

	end = server->engine ? engine_run(server->engine) :
			       follow_kernel(server);
	status = end == ENGINE_COMPLETE ? end_complete(server) :
					  judge_gone(server);
	runtime_remove(server->name, server->lock_fd);
	report_done(status);
	/* A thread may be stuck waiting for the device to be resumed: do not join it. */
	if (server_is_interrupted())
		_exit(status);
	return status;
}

static void release(struct server *server)
{
	if (server->engine) {
		engine_stop(server->engine);
		engine_destroy(server->engine);
	}
	control_channel_close(server->channel);
	image_close(server->image);
	server->image = NULL;
	if (server->lock_fd >= 0)
		runtime_unlock(server->name, server->lock_fd);
	unfinished_free(&server->earlier);
	volume_free(&server->own.volume);
	free(server->tracking.identity);
	restore_options_free(&server->options);
}

/* Undo everything, but keep the metadata of a device that cannot be removed. */
static void take_back(struct server *server)
{
	if (outer_remove(server))
		return;
	if (server->in_place) {
		if (own_undo(server)) {
			error("%s could not be given its own table again; to continue its restore: dmlive resume %s; to give it up: dmlive detach %s --force",
			      server->name, server->name, server->name);
			return;
		}
		if (server->created)
			runtime_remove(server->name, server->lock_fd);
	} else if (server->created) {
		if (dm_remove(server->name)) {
			error("%s could not be removed; to continue its restore: dmlive resume %s; to give it up: dmsetup remove %s",
			      server->name, server->name, server->name);
			return;
		}
		runtime_remove(server->name, server->lock_fd);
	}
	create_undo_metadata(server);
	own_undo_record(server);
	tracking_undo(server);
	new_volume_undo(server);
}

/* With tracking, it is the inner device that is restored. */
static int go_inside(struct server *server, const char *outer)
{
	struct inner inner;
	int status = stack_plan(outer, &inner);

	if (status)
		return status;
	server->outer = outer;
	snprintf(server->inner, sizeof(server->inner), "%s", inner.name);
	snprintf(server->inner_uuid, sizeof(server->inner_uuid), "%s",
		 inner.uuid);
	server->name = server->inner;
	return EXIT_OK;
}

/* The device to lock: a backup may hold the one that the guest uses. */
static int choose_name(struct server *server)
{
	const struct restore_request *request = server->request;
	struct metadata metadata;
	int status = EXIT_OK;

	server->name = request->name;
	if (request->volume)
		return request->track ? go_inside(server, request->name) :
					EXIT_OK;
	if (!request->meta) {
		server->name = stack_restored(request->name, server->inner);
		return EXIT_OK;
	}
	if (metadata_open(request->meta, &metadata))
		return EXIT_ERROR;
	server->in_place = metadata.description.in_place;
	if (metadata.description.track && !server->in_place)
		status = go_inside(server, request->name);
	metadata_close(&metadata);
	return status;
}

/* Refuse a new restore whose name another process works on. */
static int check_not_served(const struct server *server)
{
	const char *name = server->request->name;
	pid_t pid = runtime_server(server->name);

	if (!server->request->volume || !pid)
		return EXIT_OK;
	if (server->request->in_place) {
		error("%s is already being restored, or backed up, by process %d, see dmlive status %s; to give up its restore: dmlive detach %s --force",
		      name, pid, name, name);
		return EXIT_REFUSED;
	}
	error("the mapped device %s is already being restored, or backed up, by process %d, see dmlive status %s; choose another name, or give up its restore: dmsetup remove %s%s%s",
	      name, pid, name, name, server->outer ? " " : "",
	      server->outer ? server->name : "");
	return EXIT_REFUSED;
}

static int prepare(struct server *server)
{
	int status = choose_name(server);

	if (!status)
		status = check_not_served(server);
	if (status)
		return status;
	server->lock_fd = runtime_lock(server->name);
	if (server->lock_fd < 0)
		return server->lock_fd == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
	if (server->request->volume)
		status = create_prepare(server);
	else if (server->request->meta)
		status = (server->in_place ? own_clear(server->name) :
			  EXIT_OK) ?: recover_prepare(server);
	else
		status = takeover_prepare(server);
	if (status)
		take_back(server);
	/* The mapped device holds them open now, so the locks are no longer needed. */
	device_unlock_all(server);
	return status;
}

int server_main(const struct restore_request *request, int report_fd)
{
	struct server server = {
		.request = request,
		.lock_fd = -1,
	};
	int status;

	report_init(report_fd);
	server_catch_signals();
	process_become_server();
	status = prepare(&server);
	if (!status) {
		announce(&server);
		status = serve(&server);
	}
	release(&server);
	return status;
}
