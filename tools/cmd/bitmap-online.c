// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive bitmap` on a mapped device that records changes: messages to its target.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/recovery.h"
#include "cmd/bitmap.h"
#include "block/blockdev.h"
#include "lines/cbw-status.h"
#include "lines/cbw-tracking.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/guard.h"
#include "base/json.h"
#include "base/kernel-log.h"
#include "base/log.h"
#include "base/process.h"
#include "restore/runtime.h"
#include "base/size.h"
#include "store/show.h"

/* A message is a line of words. */
static int check_word(const char *word)
{
	const char *at;

	for (at = word; *at; at++) {
		if (!isspace((unsigned char)*at) && *at != '\\')
			continue;
		error("bitmap '%s': a name with spaces or backslashes cannot be used while the target is active",
		      word);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

static int check_message(const struct bitmap_arguments *arguments)
{
	if (arguments->source_file) {
		error("bitmap merge: a bitmap of another image can be merged only while %s is not active",
		      arguments->store);
		return EXIT_REFUSED;
	}
	if (check_word(arguments->bitmap) ||
	    (arguments->source && check_word(arguments->source)))
		return EXIT_REFUSED;
	return EXIT_OK;
}

/* Print what is between "refused: " and the number at the end. */
static void print_refusal(const char *name,
			  const struct bitmap_arguments *arguments, char *text)
{
	static const char mark[] = "refused: ";
	char *why = strstr(text, mark), *end = strrchr(text, ':');

	if (why) {
		why += sizeof(mark) - 1;
		if (end > why)
			*end = 0;
	}
	error("%s: bitmap '%s': %s was refused: %s", name, arguments->bitmap,
	      arguments->verb,
	      why ? why : "the kernel log may say why (dmesg)");
}

static int send_message(const char *name,
			const struct bitmap_arguments *arguments)
{
	char message[2 * 1024 + 64], prefix[128], text[512];
	struct dm_device device;
	int r, mark;

	r = check_message(arguments);
	if (r)
		return r;
	snprintf(message, sizeof(message), "bitmap %s %s%s%s",
		 arguments->verb, arguments->bitmap,
		 arguments->source ? " " : "",
		 arguments->source ? arguments->source : "");
	if (dm_get_device(name, &device)) {
		error("%s: the mapped device no longer exists", name);
		return EXIT_ERROR;
	}
	snprintf(prefix, sizeof(prefix),
		 "device-mapper: " CBW_TARGET ": %u:%u: message ", device.major,
		 device.minor);
	mark = kernel_log_mark();
	r = dm_message(name, message);
	kernel_log_find(mark, prefix, text, sizeof(text));
	if (r) {
		print_refusal(name, arguments, text);
		return EXIT_REFUSED;
	}
	bitmap_report(arguments, NULL);
	return EXIT_OK;
}

/* Suspending the device during a backup would lose the successor of its bitmap. */
static int check_no_session(const char *name)
{
	struct cbw_status status;
	struct dm_device device;
	int r = cbw_status_get(name, &status, &device);

	if (r) {
		error_errno(r, "%s: its status cannot be read", name);
		return EXIT_ERROR;
	}
	if (device.suspended) {
		error("%s is suspended: resume it first (dmsetup resume %s)",
		      name, name);
		return EXIT_REFUSED;
	}
	if (status.session == CBW_SESSION_NONE)
		return EXIT_OK;
	error("%s: a backup is being made, or was not finished: add and remove bitmaps after it",
	      name);
	return EXIT_REFUSED;
}

static void resume_abandoned(void *context)
{
	const char *name = context;

	if (dm_is_suspended(name))
		dm_resume_or_retry(name);
}

/*
 * The directory is rewritten while the device is suspended: then the target has
 * closed its store, and reads it again at the resume, however far the change got.
 * This process must not wait for the device meanwhile, nor be stopped; if it is
 * killed, its guard resumes the device.
 */
static int change_suspended(const char *name, const char *meta,
			    const struct bitmap_arguments *arguments)
{
	struct bitmap_arguments offline = *arguments;
	struct process_state state;
	struct guard guard;
	int status, r;

	status = check_no_session(name);
	if (!status && guard_start(&guard, resume_abandoned, (void *)name))
		status = EXIT_ERROR;
	if (status)
		return status;
	offline.store = meta;
	offline.held = true;
	process_become_independent(&state, false);
	r = dm_suspend(name);
	status = r ? EXIT_ERROR : bitmap_offline(&offline);
	if (!r)
		r = dm_resume_or_retry(name);
	guard_end(&guard);
	process_become_ordinary(&state);
	if (r)
		return EXIT_ERROR;
	if (!status)
		bitmap_report(arguments, NULL);
	return status;
}

/* No backup may begin meanwhile: it would resume the device during the change. */
static int change_locked(const char *name, const char *meta,
			 const struct bitmap_arguments *arguments)
{
	int status, lock_fd;

	if (arguments->locked)
		return change_suspended(name, meta, arguments);
	lock_fd = recovery_lock_and_clear(name);
	if (lock_fd < 0)
		return lock_fd == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
	status = change_suspended(name, meta, arguments);
	runtime_unlock(name, lock_fd);
	return status;
}

/* The bytes that are set: the last bit may extend beyond the end of the device. */
static uint64_t set_bytes(const struct cbw_tracked_bitmap *bitmap,
			  uint64_t device_bytes)
{
	uint64_t bytes = bitmap->set_bits * bitmap->granularity;

	return bytes < device_bytes ? bytes : device_bytes;
}

static void print_tracking(const struct cbw_tracking *tracking,
			   uint64_t device_bytes)
{
	char granularity[SIZE_TEXT_BYTES], bytes[SIZE_TEXT_BYTES];
	uint64_t i;

	for (i = 0; i < tracking->nr_bitmaps; i++) {
		const struct cbw_tracked_bitmap *bitmap = &tracking->bitmaps[i];
		uint64_t set = set_bytes(bitmap, device_bytes);

		printf("bitmap ");
		meta_print_name(bitmap->name, strlen(bitmap->name));
		printf(": granularity %s,%s %s set (%.1f %%)",
		       size_format(bitmap->granularity, granularity),
		       bitmap->recording ? " recording," : " disabled,",
		       size_format(set, bytes), 100.0 * set / device_bytes);
		if (bitmap->generation)
			printf(", generation %" PRIu64, bitmap->generation);
		putchar('\n');
	}
}

static void print_tracking_json(const struct cbw_tracking *tracking,
				uint64_t device_bytes)
{
	struct json_object *list = json_new_array();
	uint64_t i;

	for (i = 0; i < tracking->nr_bitmaps; i++) {
		const struct cbw_tracked_bitmap *bitmap = &tracking->bitmaps[i];
		struct json_object *object = json_new_object();

		json_add_string(object, "name", bitmap->name);
		json_add_number(object, "granularity", bitmap->granularity);
		json_add_bool(object, "in-use", bitmap->recording);
		json_add_bool(object, "auto", bitmap->recording);
		json_add_number(object, "set-bytes",
				set_bytes(bitmap, device_bytes));
		json_add_number(object, "generation", bitmap->generation);
		json_append(list, object);
	}
	json_print_pretty(list);
}

/* As they are in memory. */
static int list(const char *name, const struct bitmap_arguments *arguments)
{
	struct dm_line line = { 0 };
	struct cbw_tracking tracking = { 0 };
	int r;

	r = dm_get_line(name, DM_LINE_STATUS, &line, NULL);
	if (!r)
		r = cbw_tracking_parse(line.params, &tracking);
	if (r)
		error_errno(r, "%s: its status cannot be read", name);
	else if (arguments->json)
		print_tracking_json(&tracking, line.nr_sectors * 512);
	else
		print_tracking(&tracking, line.nr_sectors * 512);
	cbw_tracking_free(&tracking);
	dm_line_free(&line);
	return r ? EXIT_ERROR : EXIT_OK;
}

/* Dump what is on the metadata device; newer bits may be in memory only. */
static int dump(const char *path, const struct bitmap_arguments *arguments)
{
	struct bitmap_arguments offline = *arguments;

	bitmap_warn_online(arguments->store);
	offline.store = path;
	offline.online = true;
	return bitmap_offline(&offline);
}

int bitmap_online(const char *name, const struct bitmap_arguments *arguments)
{
	char meta[STATUS_WORD_BYTES], path[4096];

	dm_pin(name);
	if (bitmap_read_table(name, meta) != 1) {
		error("%s: its table cannot be read", name);
		return EXIT_ERROR;
	}
	if (!strcmp(meta, "-")) {
		error("%s has no metadata device, so it records no changes: load a table with one (dmlive meta format --track makes it)",
		      name);
		return EXIT_REFUSED;
	}
	switch (arguments->action) {
	case BITMAP_LIST:
		return list(name, arguments);
	case BITMAP_DUMP:
		return dump(blockdev_path_of(meta, path, sizeof(path)),
			    arguments);
	case BITMAP_ADD:
	case BITMAP_REMOVE:
		return change_locked(name, blockdev_path_of(meta, path,
							    sizeof(path)),
				     arguments);
	default:
		return send_message(name, arguments);
	}
}
