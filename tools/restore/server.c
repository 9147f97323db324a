// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of the server process: prepare the device, report that it is usable, serve
 * it until everything is on the target, swap it to a linear mapping, end.
 *
 * While the device is usable and not complete the process ignores requests to
 * terminate, since reads would hang. (SIGKILL ends it; then reads wait for the next
 * server.) Before and after that, a request is obeyed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/named-path.h"
#include "base/process.h"
#include "lines/status-line.h"
#include "store/chain.h"
#include "restore/finish.h"
#include "restore/report.h"
#include "restore/metadata.h"
#include "restore/server.h"
#include "restore/stack.h"
#include "restore/tracking.h"

#define POLL_MS 200

static volatile sig_atomic_t is_needed;
static volatile sig_atomic_t is_interrupted;

static void take_terminate(int number)
{
	(void)number;
	if (!is_needed)
		is_interrupted = 1;
	else
		report_from_signal_handler("info: asked to terminate, but the device needs this process; it ends by itself\n");
}

static void catch_signals(void)
{
	struct sigaction action = {
		.sa_handler = take_terminate,
		.sa_flags = SA_RESTART,
	};

	sigaction(SIGTERM, &action, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

bool server_is_interrupted(void)
{
	return is_interrupted;
}

int server_message(struct server *server, const char *text)
{
	int r = dm_message(server->name, text);

	/* Reads alone may have copied everything already. */
	if (r == -EALREADY && !strcmp(text, "stream start"))
		return 0;
	if (r)
		error_errno(r, "%s: the message '%s' was refused; the kernel log says why",
			    server->name, text);
	return r;
}

/* Record what distinguishes this image from another one of the same name. */
static void note_identity(struct server *server)
{
	struct restore_options *options = &server->options;
	struct stat st;

	options->image_bytes = server->image_bytes;
	if (stat(options->image, &st) || !S_ISREG(st.st_mode))
		return;
	options->image_inode = st.st_ino;
	options->image_mtime_ns = st.st_mtim.tv_sec * NS_PER_SECOND +
				  st.st_mtim.tv_nsec;
}

/* It must be where it was when the restore began. */
static int check_moved(const struct server *server)
{
	const struct restore_request *request = server->request;
	const char *image = server->options.image;
	struct stat st;

	if (request->target || request->image || !stat(image, &st))
		return EXIT_OK;
	error("%s, the image of %s, cannot be opened (%s); if it was moved, name its new path: dmlive resume %s IMAGE",
	      image, request->name, strerror(errno),
	      request->meta ?: request->name);
	return EXIT_ERROR;
}

static int open_image(struct server *server)
{
	struct restore_options *options = &server->options;
	struct image_options image_options = {
		.format = options->format,
		.snapshot = options->snapshot,
		.force = options->force,
		.may_name = options->allow_paths ? NULL : path_is_beside,
	};
	struct image_error err = { "" };
	char *path = path_make_stable(options->image);

	if (!path)
		return EXIT_ERROR;
	free(options->image);
	options->image = path;
	if (image_open(path, &image_options, &server->image, &err)) {
		error("%s", err.message);
		return EXIT_ERROR;
	}
	if (chain_check(server->image, options->force, NULL))
		return EXIT_REFUSED;
	server->image_bytes = image_size(server->image);
	if (!server->image_bytes) {
		error("%s is empty: there is nothing to restore", path);
		return EXIT_ERROR;
	}
	options->kernel_streams = path_is_blockdev(path) &&
				  !strcmp(image_format(server->image), "raw");
	note_identity(server);
	return EXIT_OK;
}

int server_open_image(struct server *server)
{
	int status = check_moved(server);

	return status ? status : open_image(server);
}

static void tell_state(const struct dm_alloctrack_info *info, void *argument)
{
	(void)argument;
	report_state(state_name(info->state));
}

int server_attach(struct server *server)
{
	struct engine_options options = {
		.name = server->name,
		.nr_threads = server->options.nr_threads,
		.zeroes_are_writes = !server->target.writes_zeroes,
		.on_state = tell_state,
	};
	struct dm_device device;
	int r;

	r = dm_get_device(server->name, &device);
	if (r) {
		error_errno(r, "%s: cannot get its number", server->name);
		return EXIT_ERROR;
	}
	image_source_init(&server->source, server->image);
	if (control_channel_open(server->name, device.major, device.minor,
				 &server->channel) ||
	    engine_create(server->channel, &server->source.source, &options,
			  &server->engine))
		return EXIT_ERROR;
	if (engine_start(server->engine)) {
		engine_destroy(server->engine);
		server->engine = NULL;
		return EXIT_ERROR;
	}
	return EXIT_OK;
}

static void announce(struct server *server)
{
	is_needed = 1;
	dm_pin(server->name);
	/* A request that came too late to be obeyed is ignored from now on. */
	is_interrupted = 0;
	/* First: a front end that reads on has to get all messages. */
	report_usable();
	report_take_messages(server->name);
	process_leave_terminal();
	if (server->nothing_left)
		report_note("everything was on the target already");
	else
		info("%s: serving it from %s", server->name,
		     server->options.image);
}

/* The kernel streams: wait for its events until it is complete. */
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
		/* Avoid a tight loop if that fails. */
		if (dm_wait_event(server->name, device.event_nr))
			usleep(POLL_MS * 1000);
	}
}

/* Was it finished by somebody else, or removed? */
static int judge_gone(struct server *server)
{
	struct dm_line line;
	bool linear;

	if (dm_get_line(server->name, DM_LINE_TABLE, &line, NULL)) {
		error("%s was removed before all data were on the target",
		      server->name);
		return EXIT_INCOMPLETE;
	}
	linear = !strcmp(line.target, "linear");
	dm_line_free(&line);
	if (linear) {
		info("%s: finished by another process", server->name);
		return EXIT_OK;
	}
	error("%s has another table now; this process serves it no longer",
	      server->name);
	return EXIT_INCOMPLETE;
}

/* Somebody may have suspended the device: wait until it is resumed. */
static void wait_while_suspended(struct server *server)
{
	struct dm_device device;

	while (!is_interrupted &&
	       !dm_get_device(server->name, &device) && device.suspended)
		usleep(POLL_MS * 1000);
}

static int end_complete(struct server *server)
{
	int status = EXIT_OK;

	is_needed = 0;
	info("%s: all data are on the target", server->name);
	wait_while_suspended(server);
	if (!server->options.no_finish && finish_device(server->name)) {
		error("%s is complete and stays an alloctrack device; try again: dmlive finish %s",
		      server->name, server->name);
		status = EXIT_ERROR;
	}
	/* A write that waited for its block may still need its answer. */
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
	/* A thread may wait in vain for the resume of the device: leave it. */
	if (is_interrupted)
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
	free(server->tracking.identity);
	restore_options_free(&server->options);
}

/* Undo what was made. The metadata of a device that is still there are still needed. */
static void take_back(struct server *server)
{
	if (outer_remove(server))
		return;
	if (server->created) {
		if (dm_remove(server->name)) {
			error("%s is still there: dmlive resume %s goes on with it; to give it up: dmsetup remove %s",
			      server->name, server->name, server->name);
			return;
		}
		runtime_remove(server->name, server->lock_fd);
	}
	if (server->meta_made)
		new_metadata_undo(server);
	tracking_undo(server);
}

/* With tracking, the inner device of the one that the user names is restored. */
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

/* Before it is locked: a backup may hold the device that the guest uses. */
static int choose_name(struct server *server)
{
	const struct restore_request *request = server->request;
	struct metadata metadata;
	int status = EXIT_OK;

	server->name = request->name;
	if (request->target)
		return request->track ? go_inside(server, request->name) :
					EXIT_OK;
	if (!request->meta) {
		server->name = stack_restored(request->name, server->inner);
		return EXIT_OK;
	}
	if (metadata_open(request->meta, &metadata))
		return EXIT_ERROR;
	if (metadata.description.track)
		status = go_inside(server, request->name);
	metadata_close(&metadata);
	return status;
}

/* A restore onto a name that another process is at work on. */
static int check_not_served(const struct server *server)
{
	const char *name = server->request->name;
	pid_t pid = runtime_server(server->name);

	if (!server->request->target || !pid)
		return EXIT_OK;
	error("the mapped device %s is being restored, or backed up, by process %d already, see dmlive status %s; take another name, or, if it is a restore that is to be given up: dmsetup remove %s%s%s",
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
	if (server->request->target)
		status = new_device_prepare(server);
	else if (server->request->meta)
		status = meta_device_prepare(server);
	else
		status = old_device_prepare(server);
	if (status)
		take_back(server);
	/* The locks are not needed any more: the devices are visibly in use now. */
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
	catch_signals();
	process_become_server();
	status = prepare(&server);
	if (!status) {
		announce(&server);
		status = serve(&server);
	}
	release(&server);
	return status;
}
