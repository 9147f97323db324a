// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front end: shows progress and messages, and turns the outcome into an exit status.
 * It owns nothing, so it may end at any time, and the server continues.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/dm.h"
#include "attach/in-place.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/size.h"
#include "lines/status-line.h"
#include "restore/processes.h"
#include "restore/stack.h"

#define UPDATE_MS	250
#define JSON_UPDATE_MS	1000

/* The front end continues. */
#define NOT_YET		(-1)

struct front_end {
	const struct restore_request *request;
	const char *name;
	/* What is restored: the device itself or, once it is usable, its inner device. */
	const char *restored;
	char inner[DM_NAME_BYTES];
	pid_t server;
	int report_fd;
	char line[2048];
	size_t line_length;
	bool usable;
	bool interrupted;
	struct progress progress;
	uint64_t total_bytes;
	uint64_t last_update_ns;
};

static volatile sig_atomic_t got_signal;

static void take_signal(int number)
{
	got_signal = number;
}

static double seconds_since_start(const struct front_end *front)
{
	return (double)(monotonic_ns() - front->progress.start_ns) /
	       NS_PER_SECOND;
}

static struct json_object *new_event(const struct front_end *front,
				     const char *event)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "event", event);
	json_add_string(object, "name", front->name);
	json_add_double(object, "seconds", seconds_since_start(front));
	return object;
}

static void print_event(const struct front_end *front, const char *event,
			const char *key, const char *value)
{
	struct json_object *object = new_event(front, event);

	if (key)
		json_add_string(object, key, value);
	json_print_line(object);
}

static bool get_status(struct front_end *front, struct alloctrack_status *status)
{
	struct dm_line line;
	bool found;

	if (dm_get_line(front->restored, DM_LINE_STATUS, &line, NULL))
		return false;
	found = !strcmp(line.target, "alloctrack") &&
		!status_line_parse(line.params, status);
	if (found)
		front->total_bytes = line.nr_sectors * 512;
	dm_line_free(&line);
	return found;
}

static void show_progress(struct front_end *front, bool now)
{
	unsigned int interval_ms = front->request->json ? JSON_UPDATE_MS :
							  UPDATE_MS;
	struct alloctrack_status status;
	struct json_object *object;
	uint64_t done_bytes;
	int64_t left;

	if (!now && monotonic_ns() - front->last_update_ns <
		    interval_ms * NS_PER_MS)
		return;
	front->last_update_ns = monotonic_ns();
	if (!get_status(front, &status))
		return;
	done_bytes = status_allocated_bytes(&status, front->total_bytes);
	progress_update(&front->progress, done_bytes, front->total_bytes,
			state_name(status.state));
	if (!front->request->json)
		return;

	object = new_event(front, "progress");
	json_add_string(object, "state", state_name(status.state));
	json_add_number(object, "allocated_bytes", done_bytes);
	json_add_number(object, "total_bytes", front->total_bytes);
	json_add_number(object, "streamed_bytes", status.streamed_bytes);
	json_add_number(object, "bytes_per_second",
			(uint64_t)front->progress.rate);
	left = progress_seconds_left(&front->progress, done_bytes,
				     front->total_bytes);
	if (left >= 0)
		json_add_number(object, "seconds_left", left);
	else
		json_add(object, "seconds_left", NULL);
	json_add_number(object, "read_errors", status.read_errors);
	json_add_number(object, "write_errors", status.write_errors);
	json_print_line(object);
}

static void say(struct front_end *front, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct front_end *front, const char *format, ...)
{
	va_list args;

	progress_clear(&front->progress);
	if (front->request->json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void say_commands(struct front_end *front)
{
	say(front, "  show progress:      dmlive status %s\n"
		   "  pause and resume:   dmlive stream %s pause; dmlive stream %s resume\n"
		   "  stop streaming:     dmlive stream %s cancel (reads are still served)",
	    front->name, front->name, front->name, front->name);
}

/* The user has interrupted. A device that is usable must stay so. */
static int take_interrupt(struct front_end *front)
{
	if (!front->usable) {
		/* The server undoes everything. */
		front->interrupted = true;
		kill(front->server, SIGTERM);
		return NOT_YET;
	}
	say(front, "%s: %s stays usable; the restore continues in the background (process %d).",
	    front->name, dm_node_path(front->name), front->server);
	say_commands(front);
	if (front->request->json)
		print_event(front, "detached", NULL, NULL);
	return EXIT_DETACHED;
}

static int take_usable(struct front_end *front)
{
	const char *node = dm_node_path(front->name);
	char size[SIZE_TEXT_BYTES];
	struct alloctrack_status status;
	struct json_object *object;

	front->usable = true;
	front->restored = stack_restored(front->name, front->inner);
	dm_pin(front->name);
	dm_pin(front->restored);
	get_status(front, &status);
	if (front->request->json) {
		object = new_event(front, "usable");
		json_add_string(object, "device", node);
		json_add_number(object, "size_bytes", front->total_bytes);
		json_add_number(object, "server", front->server);
		json_print_line(object);
	}
	say(front, "%s: %s (%s) is usable after %.2f s", front->name, node,
	    size_format(front->total_bytes, size), seconds_since_start(front));
	/* The device became usable before the interrupt reached the server. */
	if (front->interrupted)
		return take_interrupt(front);
	if (!front->request->background) {
		show_progress(front, true);
		return NOT_YET;
	}
	say(front, "The restore continues in the background (process %d).",
	    front->server);
	say_commands(front);
	return EXIT_OK;
}

static int end_incomplete(struct front_end *front, const char *state)
{
	progress_clear(&front->progress);
	error("%s: the stream job is %s, and not all data are on the volume; the device stays usable, served by process %d; to try again: dmlive stream %s start",
	      front->name, state, front->server, front->name);
	return EXIT_INCOMPLETE;
}

static int take_state(struct front_end *front, const char *state)
{
	if (front->request->json)
		print_event(front, "state", "state", state);
	if (!strcmp(state, "failed") || !strcmp(state, "cancelled"))
		return end_incomplete(front, state);
	if (!strcmp(state, "stopped"))
		say(front, "%s: streaming has stopped after an error; once that is fixed: dmlive stream %s resume",
		    front->name, front->name);
	show_progress(front, true);
	return NOT_YET;
}

static int end_done(struct front_end *front)
{
	char total[SIZE_TEXT_BYTES];
	bool linear = dm_runs_target(front->restored, "linear");

	if (front->request->json) {
		struct json_object *object = new_event(front, "finished");

		json_add_bool(object, "linear", linear);
		json_print_line(object);
	}
	say(front, "%s: restored %s in %.1f s%s", front->name,
	    size_format(front->total_bytes, total), seconds_since_start(front),
	    front->request->in_place &&
	    !dm_runs_target(front->restored, "alloctrack") ?
	    "; it has its own table again" :
	    !linear ? "" : front->restored == front->name ?
	    "; the device is a plain linear mapping now" :
	    "; its changes are tracked, see dmlive attach");
	return EXIT_OK;
}

/* Wait until the server has ended. False: its exit status is not known. */
static bool reap(struct front_end *front, int *status)
{
	pid_t pid;

	do {
		pid = waitpid(front->server, status, 0);
	} while (pid < 0 && errno == EINTR);
	return pid == front->server && WIFEXITED(*status);
}

static int take_done(struct front_end *front, int status)
{
	int unused;

	/* The server only has to free its resources. */
	reap(front, &unused);
	progress_clear(&front->progress);
	return status == EXIT_OK ? end_done(front) : status;
}

/* Progress of the check of the image's tables, which comes first. */
static void take_check(struct front_end *front, const char *numbers)
{
	uint64_t done_bytes, total_bytes;
	struct json_object *object;

	if (sscanf(numbers, "%" SCNu64 " %" SCNu64, &done_bytes,
		   &total_bytes) != 2)
		return;
	progress_update(&front->progress, done_bytes, total_bytes,
			"checking the image's tables");
	if (!front->request->json)
		return;
	object = new_event(front, "check");
	json_add_number(object, "checked_bytes", done_bytes);
	json_add_number(object, "total_bytes", total_bytes);
	json_print_line(object);
}

/* The user gets a warning as well. */
static void take_gap(struct front_end *front, const char *json)
{
	struct json_object *object;

	if (!front->request->json)
		return;
	object = new_event(front, "gap");
	json_add(object, "gap", json_tokener_parse(json));
	json_print_line(object);
}

static int take_line(struct front_end *front, const char *line)
{
	switch (line[0]) {
	case 'P':
		take_check(front, line + 1);
		break;
	case 'U':
		return take_usable(front);
	case 'S':
		return take_state(front, line + 1);
	case 'N':
		say(front, "%s: %s", front->name, line + 1);
		if (front->request->json)
			print_event(front, "note", "message", line + 1);
		break;
	case 'G':
		take_gap(front, line + 1);
		break;
	case 'D':
		return take_done(front, atoi(line + 1));
	case 'E':
		progress_clear(&front->progress);
		error("%s", line + 1);
		if (front->request->json)
			print_event(front, "error", "message", line + 1);
		break;
	case 'W':
		progress_clear(&front->progress);
		warning("%s", line + 1);
		break;
	default:
		break;
	}
	return NOT_YET;
}

static void say_interrupted(const struct front_end *front)
{
	struct dm_device device;
	struct in_place record;

	if (!front->request->in_place)
		error("interrupted before %s was usable; it has been removed",
		      front->name);
	else if (!dm_get_device(front->name, &device) &&
		 in_place_find(device.uuid, &record))
		error("interrupted before %s was usable; to continue its restore: dmlive resume %s",
		      front->name, front->name);
	else
		error("interrupted before %s was usable; it has its own table",
		      front->name);
}

/* The server has ended without a final report. */
static int take_end(struct front_end *front)
{
	int status;
	bool known = reap(front, &status);

	progress_clear(&front->progress);
	if (front->interrupted && !front->usable) {
		say_interrupted(front);
		return EXIT_ERROR;
	}
	if (!front->usable && known && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	/* The final report did not fit into the pipe. */
	if (front->usable && known && WEXITSTATUS(status) == EXIT_OK)
		return end_done(front);
	error("%s: the server, process %d, has ended; I/O that needs the image waits until a new one is started: dmlive resume %s",
	      front->name, front->server, front->name);
	return EXIT_ERROR;
}

static int take_reports(struct front_end *front)
{
	char *newline;
	ssize_t length;
	int status = NOT_YET;

	length = read(front->report_fd, front->line + front->line_length,
		      sizeof(front->line) - 1 - front->line_length);
	if (length < 0)
		return errno == EINTR ? NOT_YET : take_end(front);
	if (!length)
		return take_end(front);
	front->line_length += length;
	front->line[front->line_length] = '\0';
	while (status == NOT_YET && (newline = strchr(front->line, '\n'))) {
		*newline = '\0';
		status = take_line(front, front->line);
		front->line_length -= newline + 1 - front->line;
		memmove(front->line, newline + 1, front->line_length + 1);
	}
	return status;
}

static void catch_signals(sigset_t *unblocked)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = take_signal };
	sigset_t blocked;
	unsigned int i;

	sigemptyset(&blocked);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	/* Signals are delivered only in ppoll(). */
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigdelset(unblocked, numbers[i]);
}

int front_end_main(const struct restore_request *request, int server_pid,
		   int report_fd)
{
	struct front_end front = {
		.request = request,
		.name = request->name,
		.restored = request->name,
		.server = server_pid,
		.report_fd = report_fd,
	};
	struct pollfd fd = { .fd = report_fd, .events = POLLIN };
	struct timespec interval = { .tv_nsec = UPDATE_MS * NS_PER_MS };
	sigset_t unblocked;
	int status = NOT_YET;
	int nr;

	catch_signals(&unblocked);
	progress_init(&front.progress, front.name);
	if (request->json)
		front.progress.on_terminal = false;
	while (status == NOT_YET) {
		nr = ppoll(&fd, 1, &interval, &unblocked);
		if (got_signal) {
			got_signal = 0;
			status = take_interrupt(&front);
		} else if (nr > 0) {
			status = take_reports(&front);
		}
		if (status == NOT_YET && front.usable)
			show_progress(&front, false);
	}
	return status;
}
