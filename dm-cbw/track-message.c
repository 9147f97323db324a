// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of change tracking.
 *
 * Each change is durable when its message returns. Before a message clears bits of a
 * bitmap or stops its recording, it removes the generation: the bitmap belongs to no
 * backup any more. Bits are cleared only after a flush of the origin, see track-durable.c.
 */
#include <linux/sched/mm.h>

#include "track-durable.h"
#include "track-message.h"
#include "track-record.h"
#include "track-session.h"
#include "track.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/store-track.h"
#include "dm-live/store.h"

struct request {
	struct cbw_track *track;
	struct cbw_bitmap *bitmap;
	unsigned int argc;
	char **argv;
	const char *why;
};

static int refuse(struct request *request, int r, const char *why)
{
	request->why = why;
	return r;
}

/* The bitmap belongs to no backup from now on. */
static int forget_backup(struct request *request)
{
	int r = cbw_track_set_generation(request->track, request->bitmap, 0);

	return r ? refuse(request, r, "the metadata cannot be written") : 0;
}

static int store_bits(struct request *request)
{
	struct cbw_track *track = request->track;
	struct cbw_bitmap *bitmap = request->bitmap;
	int r = bitmap->recording ?
		dm_live_store_write(track->store, bitmap->bits) :
		dm_live_store_write_detached(track->store, bitmap->name,
					     bitmap->bits);

	return r ? refuse(request, r, "the metadata cannot be written") : 0;
}

static int store_enabled(struct request *request, bool enable)
{
	int r = dm_live_store_enable(request->track->store,
				     request->bitmap->name,
				     request->bitmap->bits, enable);

	return r ? refuse(request, r, "the metadata cannot be written") : 0;
}

static int set_enabled(struct request *request, bool enable)
{
	struct cbw_bitmap *bitmap = request->bitmap;
	struct cbw_recorders *recorders;
	int r;

	if (bitmap->recording == enable)
		return refuse(request, -EALREADY, "it is so already");
	recorders = cbw_track_alloc_recorders(request->track);
	if (!recorders)
		return refuse(request, -ENOMEM, "out of memory");
	r = forget_backup(request);
	/* The mark "in use" is set before it records, and removed after that. */
	if (!r && enable)
		r = store_enabled(request, true);
	if (r) {
		kfree(recorders);
		return r;
	}
	WRITE_ONCE(bitmap->recording, enable);
	cbw_track_set_recorders(request->track, recorders);
	return enable ? 0 : store_enabled(request, false);
}

/* Is it disabled, and was not closed? Then it may lack changes. */
static bool is_unknown(struct request *request, const struct cbw_bitmap *bitmap)
{
	const struct qcow2_store_bitmap *entry =
		dm_live_store_lookup(request->track->store, bitmap->name);

	return !bitmap->recording && entry &&
	       entry->flags & QCOW2_BITMAP_IN_USE;
}

static int do_enable(struct request *request)
{
	if (is_unknown(request, request->bitmap))
		return refuse(request, -EINVAL,
			      "it was not closed after a crash: clear it first, while no table uses the metadata device");
	return set_enabled(request, true);
}

static int do_disable(struct request *request)
{
	return set_enabled(request, false);
}

static int do_clear(struct request *request)
{
	struct dm_live_bitmap *bits = request->bitmap->bits;
	int r;

	if (cbw_track_flush_origin(request->track))
		return refuse(request, -EIO,
			      "the origin cannot be flushed: it may lose changes that nothing would record then");
	r = forget_backup(request);
	if (r)
		return r;
	request->bitmap->cleared = true;
	/* Writes in flight may or may not be in it. */
	dm_live_bitmap_clear_range_slowly(bits, 0,
					  dm_live_bitmap_nr_blocks(bits));
	return store_bits(request);
}

/* Rounded outward to whole bits of @to. */
static void merge(const struct cbw_track *track, struct cbw_bitmap *to,
		  const struct cbw_bitmap *from)
{
	u64 nr = dm_live_bitmap_nr_blocks(from->bits);
	u64 bit = 0, next, start, end;

	for (;; cond_resched()) {
		bit = dm_live_bitmap_next_set(from->bits, bit, nr);
		if (bit == nr)
			return;
		next = dm_live_bitmap_next_clear(from->bits, bit, nr);
		start = bit << from->shift >> to->shift;
		end = min(next << from->shift, track->size_bytes);
		end = ((end - 1) >> to->shift) + 1;
		dm_live_bitmap_set_range(to->bits, start, end - start);
		bit = next;
	}
}

static int do_merge(struct request *request)
{
	struct cbw_bitmap *from;
	unsigned int i;

	for (i = 3; i < request->argc; i++) {
		from = cbw_track_find(request->track, request->argv[i]);
		if (!from)
			return refuse(request, -ENOENT,
				      "there is no such source bitmap");
		if (is_unknown(request, from))
			return refuse(request, -EINVAL,
				      "a source bitmap was not closed after a crash: it may lack changes");
	}
	for (i = 3; i < request->argc; i++) {
		from = cbw_track_find(request->track, request->argv[i]);
		merge(request->track, request->bitmap, from);
	}
	return store_bits(request);
}

static int do_commit(struct request *request)
{
	struct cbw_session *session = request->track->table->session;
	u64 generation, wanted;

	if (kstrtou64(request->argv[3], 0, &generation) || !generation)
		return refuse(request, -EINVAL,
			      "the generation must be a number, not 0");
	if (!request->bitmap->successor)
		return refuse(request, -ESRCH, "no session is on it");
	if (session && cbw_is(session, CBW_BROKEN))
		return refuse(request, -EIO, "the session is broken");
	/* Changes between two sessions would be in none of their backups. */
	wanted = request->track->table->config.generation;
	if (wanted && generation != wanted)
		return refuse(request, -EINVAL,
			      "the session on it is that of another backup");
	/* The bitmap would belong to the backup before this one, too. */
	if (generation == request->bitmap->generation)
		return refuse(request, -EEXIST,
			      "the bitmap has that generation already: each backup needs a new one");
	return cbw_track_commit(request->track, request->bitmap, generation,
				&request->why);
}

static int do_abort(struct request *request)
{
	int r;

	if (!request->bitmap->successor)
		return refuse(request, -ESRCH, "no session is on it");
	r = cbw_track_abort(request->track, request->bitmap);
	return r ? refuse(request, r, "out of memory") : 0;
}

static const struct command {
	const char *noun;
	const char *verb;
	unsigned int min_words;
	unsigned int max_words;
	bool not_frozen;
	int (*run)(struct request *request);
} commands[] = {
	{ "bitmap", "enable", 3, 3, true, do_enable },
	{ "bitmap", "disable", 3, 3, true, do_disable },
	{ "bitmap", "clear", 3, 3, true, do_clear },
	{ "bitmap", "merge", 4, UINT_MAX, true, do_merge },
	{ "backup", "commit", 4, 4, false, do_commit },
	{ "backup", "abort", 3, 3, false, do_abort },
};

static int run(struct request *request)
{
	struct cbw_track *track = request->track;
	const struct command *command = NULL;
	unsigned int i;

	if (request->argc >= 2 && !strcmp(request->argv[0], "bitmap") &&
	    (!strcmp(request->argv[1], "add") ||
	     !strcmp(request->argv[1], "remove")))
		return refuse(request, -EOPNOTSUPP,
			      "bitmaps are added and removed by dmlive bitmap while no table uses the metadata device");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (request->argc >= 2 &&
		    !strcmp(request->argv[0], commands[i].noun) &&
		    !strcmp(request->argv[1], commands[i].verb))
			command = &commands[i];
	if (!command || request->argc < command->min_words ||
	    request->argc > command->max_words)
		return refuse(request, -EINVAL,
			      "unknown message, or a wrong number of words");
	if (!track)
		return refuse(request, -ESRCH, "there is no metadata device");
	if (!track->active)
		return refuse(request, -EROFS,
			      dm_live_store_has_failed(track->store) ?
			      "the metadata device has failed" :
			      "the table is read-only or suspended");
	request->bitmap = cbw_track_find(track, request->argv[2]);
	if (!request->bitmap)
		return refuse(request, -ENOENT, "there is no such bitmap");
	if (command->not_frozen && request->bitmap->successor)
		return refuse(request, -EBUSY,
			      "a session is on it: backup commit or abort first");
	return command->run(request);
}

/*
 * bitmap enable|disable|clear <name>
 * bitmap merge <name> <source>...
 * backup commit <name> <generation>
 * backup abort <name>
 */
int cbw_track_message(struct cbw_table *table, unsigned int argc, char **argv)
{
	struct request request = {
		.track = table->track,
		.argc = argc,
		.argv = argv,
		.why = "it failed",
	};
	unsigned int noio;
	int r;

	/* A suspend waits for messages, so allocations must not wait for the device. */
	noio = memalloc_noio_save();
	if (table->track)
		mutex_lock(&table->track->admin);
	r = run(&request);
	if (table->track)
		mutex_unlock(&table->track->admin);
	memalloc_noio_restore(noio);
	if (r)
		DMERR("%s: message '%s %s %s' refused: %s: %d",
		      dm_table_device_name(table->ti->table), argv[0],
		      argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "",
		      request.why, r);
	return r;
}
