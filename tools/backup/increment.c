// SPDX-License-Identifier: GPL-2.0-only
/* The bitmap of a backup, see increment.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/counters.h"
#include "lines/cbw-table.h"
#include "lines/cbw-tracking.h"
#include "qcow2-format.h"
#include "qcow2/backup-record.h"
#include "qcow2/error.h"
#include "store/inspect.h"
#include "store/track.h"

#define DEFAULT_CLUSTER_BYTES WRITER_DEFAULT_CLUSTER_BYTES

/* Get the status of the bitmap. 0, -ENOENT, or another errno after a message. */
static int read_status(const struct volume *volume, const char *bitmap,
		       struct cbw_tracked_bitmap *found)
{
	struct cbw_tracking tracking = { 0 };
	struct dm_line line = { 0 };
	uint64_t i;
	int r;

	r = dm_get_line(volume->name, DM_LINE_STATUS, &line, NULL);
	if (!r)
		r = cbw_tracking_parse(line.params, &tracking);
	dm_line_free(&line);
	if (r) {
		error_errno(r, "%s: cannot get its status", volume->name);
		r = -EIO;
	} else if (!strcmp(tracking.state, "-")) {
		error("%s has no metadata device, so it records no changes; make one with dmlive meta format --track, and attach the device with it",
		      volume->name);
		r = -EINVAL;
	} else if (strcmp(tracking.state, "rw")) {
		error("%s: its metadata device cannot be written to (%s)",
		      volume->name, tracking.state);
		r = -EROFS;
	} else {
		r = -ENOENT;
	}
	for (i = 0; r == -ENOENT && i < tracking.nr_bitmaps; i++) {
		if (strcmp(tracking.bitmaps[i].name, bitmap))
			continue;
		*found = tracking.bitmaps[i];
		found->name = NULL;
		r = 0;
	}
	cbw_tracking_free(&tracking);
	return r;
}

static int find_bitmap(struct volume *volume,
		       const struct backup_request *request)
{
	struct increment *increment = &volume->increment;
	struct cbw_tracked_bitmap found;
	int r = read_status(volume, request->bitmap, &found);

	if (r == -ENOENT) {
		if (request->add_bitmap(volume->name, request->bitmap)) {
			error("%s has no bitmap '%s', and adding it failed; add it first: dmlive bitmap add",
			      volume->name, request->bitmap);
			return EXIT_REFUSED;
		}
		r = read_status(volume, request->bitmap, &found);
	}
	if (r == -ENOENT)
		error("%s has no bitmap '%s'", volume->name, request->bitmap);
	if (r)
		return r == -EIO ? EXIT_ERROR : EXIT_REFUSED;
	if (found.frozen || !found.recording) {
		error(found.frozen ?
		      "%s: a session uses bitmap '%s'; end it first" :
		      "%s: bitmap '%s' is disabled, so it records no changes; enable it first: dmlive bitmap enable",
		      volume->name, request->bitmap);
		return EXIT_REFUSED;
	}
	increment->granularity_bytes = found.granularity;
	increment->present = found.generation;
	return EXIT_OK;
}

/* Keep the origin only if the bitmap still belongs to it. */
static void find_origin(struct increment *increment,
			const struct meta_store *store)
{
	struct meta_origin *origin = &increment->origin;

	if (meta_origin_read(store, origin) || !increment->present ||
	    origin->generation != increment->present ||
	    strcmp(origin->bitmap, increment->bitmap))
		meta_origin_free(origin);
}

/* The metadata device must not need @volumes: it is read while they are suspended. */
static int find_store(struct volume *volumes, unsigned int nr,
		      struct volume *volume)
{
	struct increment *increment = &volume->increment;
	struct meta_store store;
	struct cbw_table table;

	cbw_table_parse(volume->before, &table);
	blockdev_path_of(table.meta, increment->meta, sizeof(increment->meta));
	if (access(increment->meta, F_OK)) {
		error_errno(errno, "%s", increment->meta);
		return EXIT_ERROR;
	}
	if (volumes_hold(volumes, nr, increment->meta, increment->meta))
		return EXIT_REFUSED;
	if (meta_store_open(increment->meta, &store))
		return EXIT_ERROR;
	meta_uuid(&store, increment->store);
	meta_seal_read(&store, &increment->seal);
	find_origin(increment, &store);
	meta_store_close(&store);
	if (increment->store[0])
		return EXIT_OK;
	error("%s has no place for generations, so no increment could follow this backup; format it with dmlive meta format --track",
	      increment->meta);
	return EXIT_REFUSED;
}

static int choose_generation(struct increment *increment)
{
	do {
		if (meta_new_generation(&increment->generation))
			return EXIT_ERROR;
	} while (increment->generation == increment->present);
	return EXIT_OK;
}

/* @base: the image that is no base, or NULL. */
static int make_full(struct increment *increment, const char *base,
		     const char *why)
{
	snprintf(increment->full_reason, sizeof(increment->full_reason),
		 "%s%s%s", base ? base : "", base ? ": " : "", why);
	return EXIT_OK;
}

/* Make a full backup, though an increment was wanted. */
static int fall_back(struct volume *volume,
		     const struct backup_request *request, const char *base,
		     const char *why)
{
	if (request->no_full)
		error("%s: no increment is possible: %s%s%s", volume->name,
		      base ? base : "", base ? ": " : "", why);
	else
		warning("%s: a full backup is made: %s%s%s", volume->name,
			base ? base : "", base ? ": " : "", why);
	make_full(&volume->increment, base, why);
	return request->no_full ? EXIT_REFUSED : EXIT_OK;
}

/* Why the bitmap belongs to no backup. A gap since @base is the better reason. */
static void explain_no_backup(struct increment *increment, const char *base,
			      struct image_error *why)
{
	const struct qcow2_seal *seal = &increment->seal;
	char gap[META_GAP_BYTES];

	increment->is_after_gap = seal->gap_reason && base &&
				  seal->gap_to_s >= base_time_of(base);
	if (increment->is_after_gap)
		image_error_set(why, "%s", meta_gap_text(seal, gap));
	else
		image_error_set(why,
				"the bitmap '%s' belongs to no backup: none was made yet, or the bitmap was cleared, disabled or changed by another program",
				increment->bitmap);
}

/* @is_auto: it was looked for; if none was found, @why says it. */
static int choose_base(struct volume *volume,
		       const struct backup_request *request, const char *base,
		       bool is_auto, struct image_error *why)
{
	struct increment *increment = &volume->increment;
	int r;

	if (request->full)
		return make_full(increment, NULL, "it was asked for (--full)");
	if (!increment->present) {
		explain_no_backup(increment, base, why);
		if (base || is_auto || request->no_full)
			return fall_back(volume, request, NULL, why->message);
		return make_full(increment, NULL, why->message);
	}
	if (!base)
		return fall_back(volume, request, NULL, is_auto ? why->message :
				 "the previous backup was not named (--base)");
	r = base_open(volume, base, why);
	if (r == -EINVAL)
		return fall_back(volume, request, base, why->message);
	return r ? EXIT_REFUSED : EXIT_OK;
}

static int plan_base(struct volume *volume,
		     const struct backup_request *request, const char *base)
{
	const bool is_auto = base && !strcmp(base, BACKUP_BASE_AUTO);
	/* The only failure of base_find() that it does not explain. */
	struct image_error why = { .message = "out of memory" };
	char *found;
	int status;

	if (!is_auto)
		return choose_base(volume, request, base, false, &why);
	found = base_find(volume, &why);
	status = choose_base(volume, request, found, true, &why);
	free(found);
	return status;
}

int increment_plan(struct volume *volumes, unsigned int nr,
		   struct volume *volume, const struct backup_request *request,
		   const char *base)
{
	struct increment *increment = &volume->increment;
	int status;

	if (volume->format != WRITER_QCOW2) {
		error("%s: a backup with a bitmap must be a qcow2 image: --format qcow2",
		      volume->output);
		return EXIT_USAGE;
	}
	status = meta_check_name("--bitmap", request->bitmap) ? EXIT_OK :
							       EXIT_USAGE;
	increment->bitmap = request->bitmap;
	if (!status)
		status = find_bitmap(volume, request);
	if (!status)
		status = find_store(volumes, nr, volume);
	if (!status)
		status = choose_generation(increment);
	if (!status)
		status = plan_base(volume, request, base);
	return status;
}

static bool is_in_chain(const void *base, int fd)
{
	return image_uses_file(base, fd);
}

void increment_set_options(const struct volume *volume,
			   struct writer_options *options)
{
	const struct increment *increment = &volume->increment;
	uint64_t limit = increment->granularity_bytes;

	if (!increment->base)
		return;
	options->backing_file = increment->base_name;
	options->backing_format = image_format(increment->base);
	options->is_source = is_in_chain;
	options->source = increment->base;
	/* Ranges of the scope start and end at multiples of the larger of these. */
	if (limit < volume->block_bytes)
		limit = volume->block_bytes;
	if (!options->cluster_bytes)
		options->cluster_bytes = limit < DEFAULT_CLUSTER_BYTES ?
					 limit : DEFAULT_CLUSTER_BYTES;
	if (options->cluster_bytes <= limit)
		return;
	options->cluster_bytes = limit;
	warning("%s: clusters have %" PRIu64 " bytes, because they cannot be larger than the granularity of the bitmap and the block size",
		volume->output, limit);
}

/* Add a run of bits, rounded to blocks of the session as the target rounds it. */
static int add_run(void *context, uint64_t offset, uint64_t length)
{
	struct volume *volume = context;
	const struct extents *scope = &volume->scope;
	uint64_t mask = volume->block_bytes - 1;
	uint64_t start = offset & ~mask;
	uint64_t end = (offset + length + mask) & ~mask;
	const struct extent *last;

	if (end > volume->bytes)
		end = volume->bytes;
	if (scope->nr) {
		last = &scope->list[scope->nr - 1];
		if (start < last->offset + last->length)
			start = last->offset + last->length;
	}
	if (start >= end)
		return 0;
	return extents_add(&volume->scope, start, end - start);
}

/* Check that what was read before the suspend still holds. */
static int check_store(const struct volume *volume, struct meta_store *store,
		       const struct meta_store_bitmap *bitmap)
{
	const struct increment *increment = &volume->increment;
	char uuid[META_UUID_BYTES];
	uint32_t flags;

	if (!bitmap) {
		error("%s: bitmap '%s' was removed just now; try again",
		      volume_called(volume), increment->bitmap);
		return -ENOENT;
	}
	flags = bitmap->entry.flags;
	if (!store->header.bitmaps_valid ||
	    store->header.size_bytes != volume->bytes ||
	    flags & QCOW2_BITMAP_IN_USE || !(flags & QCOW2_BITMAP_AUTO)) {
		error("%s: bitmap '%s' on %s is not complete; see the kernel log",
		      volume_called(volume), increment->bitmap, increment->meta);
		return -EIO;
	}
	if (!strcmp(meta_uuid(store, uuid), increment->store) &&
	    meta_generation(store, bitmap) == increment->present)
		return 0;
	error("%s: bitmap '%s' was changed just now; try again",
	      volume_called(volume), increment->bitmap);
	return -EBUSY;
}

/* The target has closed the store, and has sealed it if no change is missing. */
static bool is_sealed(const struct volume *volume,
		      const struct meta_store *store)
{
	uint8_t instance[QCOW2_DMLIVE_UUID_BYTES];
	struct qcow2_seal_device now;
	struct qcow2_seal seal;

	if (!dm_live_read_instance(instance) || !meta_seal_read(store, &seal))
		return true;
	return blockdev_count(volume->devt, &now) ?
	       meta_seal_holds(&seal, &now) :
	       seal.flags & QCOW2_DMLIVE_SEAL_SEALED;
}

int increment_take_scope(struct volume *volume)
{
	struct increment *increment = &volume->increment;
	const struct meta_store_bitmap *bitmap;
	struct meta_store store;
	int r;

	increment->time_s = time(NULL);
	if (!increment->base)
		return 0;
	r = meta_store_open(increment->meta, &store);
	if (r)
		return r;
	bitmap = meta_store_find(&store, increment->bitmap);
	r = check_store(volume, &store, bitmap);
	if (!r && !is_sealed(volume, &store))
		r = -ESTALE;
	if (!r) {
		extents_free(&volume->scope);
		r = meta_store_walk(&store, bitmap, add_run, volume);
		if (r)
			error_errno(r, "%s: bitmap '%s' cannot be read",
				    volume_called(volume), increment->bitmap);
	}
	meta_store_close(&store);
	return r;
}

int increment_describe(struct volume *volume)
{
	struct increment *increment = &volume->increment;
	struct backup_record record = {
		.bitmap = (char *)increment->bitmap,
		.generation = increment->generation,
		.base_generation = increment->base ? increment->present : 0,
		.base_identity = increment->base ? increment->origin.identity :
						   NULL,
		.time_s = increment->time_s,
		.autoclear_bit = QCOW2_AUTOCLEAR_DMLIVE_BIT,
	};
	struct image_error err;
	char *text;
	int r;

	if (!increment->bitmap)
		return EXIT_OK;
	snprintf(record.store, sizeof(record.store), "%s", increment->store);
	writer_stamp(volume->writer, &record.stamp);
	text = backup_record_format(&record);
	if (!text) {
		error("out of memory");
		return EXIT_ERROR;
	}
	r = writer_set_backup_record(volume->writer, text, &err);
	free(text);
	if (!r)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_INCOMPLETE;
}

static int send(const struct volume *volume, const char *verb,
		uint64_t generation)
{
	char message[STATUS_WORD_BYTES + 64], number[24] = "";

	if (generation)
		snprintf(number, sizeof(number), " %" PRIu64, generation);
	snprintf(message, sizeof(message), "backup %s %s%s", verb,
		 volume->increment.bitmap, number);
	return dm_message(volume->name, message);
}

/*
 * The target refuses to commit a session with another generation. This check excludes a
 * session without one, which somebody may have begun by hand.
 */
static bool has_our_session(const struct volume *volume)
{
	struct cbw_table table;
	struct dm_line line;
	bool ours;

	if (dm_get_line(volume->name, DM_LINE_TABLE, &line, NULL))
		return false;
	ours = !strcmp(line.target, CBW_TARGET) &&
	       !cbw_table_parse(line.params, &table) &&
	       table.features.generation == volume->increment.generation;
	dm_line_free(&line);
	return ours;
}

int increment_commit(struct volume *volume)
{
	struct increment *increment = &volume->increment;

	if (!increment->bitmap)
		return EXIT_OK;
	/* After a crash before this, the bitmap still belongs to the previous backup. */
	increment->is_committed = has_our_session(volume) &&
				  !send(volume, "commit", increment->generation);
	if (increment->is_committed)
		return EXIT_OK;
	error("%s: %s is complete, but bitmap '%s' does not belong to it (its session was ended, or see the kernel log); no increment can be based on it, so keep the previous backup",
	      volume_called(volume), volume->output, increment->bitmap);
	return EXIT_INCOMPLETE;
}

void increment_abort(struct volume *volume)
{
	/* Without a session this fails, but then its end has aborted the backup. */
	if (volume->increment.bitmap && !volume->increment.is_committed)
		send(volume, "abort", 0);
}

void increment_close(struct increment *increment)
{
	if (increment->base)
		image_close(increment->base);
	free(increment->base_name);
	meta_origin_free(&increment->origin);
	increment->base = NULL;
	increment->base_name = NULL;
}

void increment_forget(struct increment *increment)
{
	increment_close(increment);
	memset(increment, 0, sizeof(*increment));
}
