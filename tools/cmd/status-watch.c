// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive status --watch`: a screen that is drawn again each second. A frame is composed in
 * memory and written at once over the last one, so it does not flicker.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/size.h"
#include "cmd/status.h"

#define CLEAR_SCREEN	"\033[2J"
#define TO_TOP		"\033[H"
#define CLEAR_TO_END	"\033[K"
#define CLEAR_BELOW	"\033[J"

/* The rate of a device is known from its second frame on. */
struct rates {
	struct progress *list;
	unsigned int nr;
};

static struct progress *find_rate(struct rates *rates, const char *name)
{
	struct progress *list, *progress;
	unsigned int i;

	for (i = 0; i < rates->nr; i++)
		if (!strcmp(rates->list[i].name, name))
			return &rates->list[i];
	list = reallocarray(rates->list, rates->nr + 1, sizeof(*list));
	if (!list)
		return NULL;
	rates->list = list;
	progress = &list[rates->nr];
	progress_init(progress, strdup(name));
	progress->on_terminal = false;
	if (!progress->name)
		return NULL;
	rates->nr++;
	return progress;
}

static void free_rates(struct rates *rates)
{
	unsigned int i;

	for (i = 0; i < rates->nr; i++)
		free((char *)rates->list[i].name);
	free(rates->list);
}

/* What of the device is done, and of how much. @total: 0: nothing is under way. */
static const char *get_state(struct json_object *device, uint64_t *done,
			     uint64_t *total)
{
	const uint64_t block_bytes = json_get_number(device, "block_bytes");
	const char *state = json_get_string(device, "session");

	if (!state) {
		*done = json_get_number(device, "allocated_bytes");
		*total = json_get_number(device, "size_bytes");
		return json_get_string(device, "state");
	}
	*done = json_get_number(device, "job_bytes");
	*total = json_get_number(device, "job_total_bytes");
	if (!*total) {
		*done = json_get_number(device, "copied_blocks") * block_bytes;
		*total = json_get_number(device, "scope_blocks") * block_bytes;
	}
	if (!strcmp(state, "none"))
		*total = 0;
	return strcmp(state, "active") ? state : "running";
}

static void draw_errors(FILE *frame, struct json_object *device)
{
	static const char *const keys[] = {
		"read_errors", "write_errors", "source_errors", "target_errors",
	};
	const char *last = json_get_string(device, "last_error");
	uint64_t nr;
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		nr = json_get_number(device, keys[i]);
		if (nr)
			fprintf(frame, "    %" PRIu64 " %.*s errors" CLEAR_TO_END "\n",
				nr, (int)(strchr(keys[i], '_') - keys[i]),
				keys[i]);
	}
	if (last)
		fprintf(frame, "    last error: %s" CLEAR_TO_END "\n", last);
}

static void draw_bitmaps(FILE *frame, struct json_object *device)
{
	struct json_object *tracking, *list, *bitmap;
	char text[SIZE_TEXT_BYTES];
	size_t i;

	if (!json_object_object_get_ex(device, "tracking", &tracking) ||
	    !json_object_object_get_ex(tracking, "bitmaps", &list))
		return;
	for (i = 0; i < json_object_array_length(list); i++) {
		bitmap = json_object_array_get_idx(list, i);
		fprintf(frame, "    bitmap %s: %s changed%s" CLEAR_TO_END "\n",
			json_get_string(bitmap, "name"),
			size_format(json_get_number(bitmap, "set_bytes"), text),
			json_get_bool(bitmap, "recording") ? "" :
							     ", not recording");
	}
}

/* What reads the view gives back what it has read, so the scope is what is left. */
static void compose_fleece(struct json_object *device, const char *name,
			   const char *state, char *line, size_t line_bytes)
{
	const uint64_t block_bytes = json_get_number(device, "block_bytes");
	char left[SIZE_TEXT_BYTES], used[SIZE_TEXT_BYTES], all[SIZE_TEXT_BYTES];

	snprintf(line, line_bytes,
		 "%s  %s point in time, %s left to read; fleece: %s of %s used",
		 name, strcmp(state, "running") ? state : "active",
		 size_format(json_get_number(device, "scope_blocks") *
			     block_bytes, left),
		 size_format(json_get_number(device, "slots_used") *
			     block_bytes, used),
		 size_format(json_get_number(device, "slots") * block_bytes,
			     all));
}

static void draw_device(FILE *frame, struct json_object *device,
			struct rates *rates)
{
	const char *name = json_get_string(device, "name");
	struct progress *progress;
	uint64_t done, total;
	const char *state;
	char line[512];

	state = get_state(device, &done, &total);
	progress = name ? find_rate(rates, name) : NULL;
	if (!progress || !state)
		return;
	progress_update(progress, done, total, state);
	if (total && json_get_number(device, "slots"))
		compose_fleece(device, name, state, line, sizeof(line));
	else if (total)
		progress_compose(progress, done, total, state, line,
				 sizeof(line));
	else
		snprintf(line, sizeof(line), "%s  attached, no session", name);
	fprintf(frame, "%s%s" CLEAR_TO_END "\n", line,
		json_get_bool(device, "suspended") ? "  suspended" : "");
	draw_errors(frame, device);
	draw_bitmaps(frame, device);
}

static void draw_leftover(FILE *frame, struct json_object *leftover)
{
	const char *name = json_get_string(leftover, "name");
	const char *text = json_get_string(leftover, "text");
	const char *command = json_get_string(leftover, "clean_up");

	fprintf(frame, "%s  %s%s%s" CLEAR_TO_END "\n", name ?: "?",
		text ?: "was left", command ? "; to clean up: " : "",
		command ?: "");
}

static void draw(FILE *frame, struct json_object *array, struct rates *rates)
{
	struct json_object *device;
	const char *kind;
	char now[32] = "";
	time_t t = time(NULL);
	size_t i;

	strftime(now, sizeof(now), "%H:%M:%S", localtime(&t));
	fprintf(frame, TO_TOP "dmlive, %s; Ctrl-C ends" CLEAR_TO_END "\n"
		CLEAR_TO_END "\n", now);
	for (i = 0; i < json_object_array_length(array); i++) {
		device = json_object_array_get_idx(array, i);
		kind = json_get_string(device, "kind");
		if (kind && !strcmp(kind, "leftover"))
			draw_leftover(frame, device);
		else
			draw_device(frame, device, rates);
	}
	if (!i)
		fputs("no device is being restored or attached" CLEAR_TO_END "\n",
		      frame);
	fputs(CLEAR_BELOW, frame);
}

/* More lines than the terminal has would scroll it. */
static void show(const char *text)
{
	struct winsize size;
	unsigned int lines = 0;
	const char *end;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row)
		size.ws_row = UINT16_MAX;
	for (end = text; *end; end++)
		if (*end == '\n' && ++lines + 1 >= size.ws_row)
			break;
	if (*end)
		end++;
	fwrite(text, 1, end - text, stdout);
	if (*end && strcmp(end, CLEAR_BELOW))
		fputs("  ...", stdout);
	fputs(CLEAR_BELOW, stdout);
	fflush(stdout);
}

int status_watch(struct json_object *(*collect)(void))
{
	const struct timespec pause = { .tv_sec = 1 };
	struct rates rates = { 0 };
	struct json_object *array;
	size_t bytes;
	char *text;
	FILE *frame;

	if (!isatty(STDOUT_FILENO)) {
		error("status: --watch draws on a terminal, and standard output is none; for programs there are --json and --metrics");
		return EXIT_USAGE;
	}
	fputs(CLEAR_SCREEN, stdout);
	while (!ferror(stdout)) {
		array = collect();
		frame = array ? open_memstream(&text, &bytes) : NULL;
		if (!frame) {
			json_object_put(array);
			break;
		}
		draw(frame, array, &rates);
		fclose(frame);
		json_object_put(array);
		show(text);
		free(text);
		nanosleep(&pause, NULL);
	}
	free_rates(&rates);
	return EXIT_ERROR;
}
