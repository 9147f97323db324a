// SPDX-License-Identifier: GPL-2.0-only
/* Is the seal of a store right for a volume? See trust.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attach/digest.h"
#include "attach/persist.h"
#include "attach/trust.h"
#include "block/counters.h"
#include "base/exit.h"
#include "base/log.h"
#include "qcow2/content.h"
#include "store/registry.h"

static bool is_untouched(const struct qcow2_seal_device *counters)
{
	return !counters->written && !counters->discarded;
}

/* Can the digest show that a volume, activated since, is unchanged? */
static bool may_be_known(const struct trust *trust,
			 const struct qcow2_seal *seal,
			 const struct qcow2_seal_device *now)
{
	return seal->flags & QCOW2_DMLIVE_SEAL_SEALED &&
	       seal->flags & QCOW2_DMLIVE_SEAL_DIGEST &&
	       is_untouched(now) && *trust->identity &&
	       !strcmp(trust->identity, seal->identity);
}

static bool fits(const struct trust *trust, const struct qcow2_seal *seal,
		 const struct qcow2_seal_device *now)
{
	return !trust->is_changed &&
	       (meta_seal_holds(seal, now) ||
		(may_be_known(trust, seal, now) && trust->has_digest &&
		 !memcmp(trust->digest, seal->digest, sizeof(seal->digest))));
}

static int check_volume(struct trust *trust, const struct qcow2_seal *seal)
{
	trust->is_other = *seal->identity &&
			  strcmp(seal->identity, trust->identity);
	if (!trust->is_other || trust->force)
		return EXIT_OK;
	error("%s has recorded the changes of another volume, %s, and %s is %s; use the metadata device of this volume, or use --force, and all blocks count as changed",
	      trust->meta, seal->identity, trust->volume->device.path,
	      *trust->identity ? trust->identity :
	      "a device without an identity");
	return EXIT_REFUSED;
}

static int look_at(struct trust *trust, struct meta_store *store)
{
	const struct blockdev *device = &trust->volume->device;
	struct qcow2_seal_device now;
	struct qcow2_seal seal;

	/* On a read-only device, the target does not write to the store either. */
	trust->is_store = store->header.state_offset &&
			  store->header.generations_offset &&
			  !device->read_only;
	if (!trust->is_store || !meta_seal_read(store, &seal))
		return EXIT_OK;
	if (check_volume(trust, &seal))
		return EXIT_REFUSED;
	trust->is_changed = trust->volume->is_mapped &&
			    persist_changed_from(trust->volume) <
				    store->header.size_bytes;
	blockdev_count(device->devt, &now);
	if (!trust->is_other && !meta_seal_holds(&seal, &now) &&
	    may_be_known(trust, &seal, &now))
		trust->has_digest = volume_digest(device, store, trust->digest);
	return EXIT_OK;
}

/* For a store of an earlier version. Without space for a seal it is used without one. */
static int add_place(const struct trust *trust)
{
	struct meta_writer writer;
	int r;

	r = meta_writer_open(trust->meta, 0, &writer);
	if (r)
		return r == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
	r = meta_seal_add(&writer);
	meta_writer_close(&writer);
	return r ? EXIT_ERROR : EXIT_OK;
}

int trust_check(struct trust *trust, const struct volume *volume)
{
	struct meta_store store;
	bool add;
	int status;

	trust->volume = volume;
	/* What is no image is for the target to refuse. */
	status = blockdev_has_qcow2(trust->meta);
	if (status <= 0)
		return status ? EXIT_ERROR : EXIT_OK;
	volume_identity(volume, trust->identity, sizeof(trust->identity));
	if (meta_store_open(trust->meta, &store))
		return EXIT_ERROR;
	status = look_at(trust, &store);
	if (!status && trust->is_store)
		registry_note(&store, trust->identity);
	add = trust->is_store && meta_seal_can_be_added(&store);
	meta_store_close(&store);
	return !status && add ? add_place(trust) : status;
}

/* Seal the same counts that were compared, even if they have changed since. */
static void seal_counts(const struct trust *trust,
			const struct qcow2_seal_device *now, dev_t devt,
			struct qcow2_seal_device *sealed)
{
	if (devt == trust->volume->device.devt)
		*sealed = *now;
	else
		blockdev_count(devt, sealed);
}

/* Rewrite the seal for the devices that the target will see. */
static void carry_over(struct trust *trust, struct qcow2_seal *seal,
		       const struct qcow2_seal_device *now, dev_t origin,
		       dev_t mapped)
{
	seal_counts(trust, now, origin, &seal->origin);
	seal_counts(trust, now, mapped, &seal->device);
	dm_live_read_instance(seal->instance);
	seal->flags |= QCOW2_DMLIVE_SEAL_SEALED;
	/* With --trust-store, also a gap that was noticed. */
	seal->flags &= ~QCOW2_DMLIVE_SEAL_GAP;
	if (trust->trusted)
		seal->flags |= QCOW2_DMLIVE_SEAL_TRUSTED;
}

/*
 * The volume is not as it was when the store was closed: why? 0: leave it to the target to
 * say so.
 */
static enum qcow2_dmlive_gap reason_of(const struct trust *trust,
				       const struct qcow2_seal *seal,
				       const struct qcow2_seal_device *now)
{
	if (!(seal->flags & QCOW2_DMLIVE_SEAL_SEALED))
		return QCOW2_DMLIVE_GAP_NONE;
	if (trust->is_changed)
		return QCOW2_DMLIVE_GAP_WRITTEN;
	if (!qcow2_seal_is_counted(now))
		return QCOW2_DMLIVE_GAP_UNCOUNTED;
	if (qcow2_seal_is_same_device(&seal->device, now) ||
	    qcow2_seal_is_same_device(&seal->origin, now) ||
	    !is_untouched(now) || trust->has_digest)
		return QCOW2_DMLIVE_GAP_WRITTEN;
	return QCOW2_DMLIVE_GAP_NONE;
}

/* The target would notice a gap too, but not know as much about the reason. */
static int settle_closed(struct trust *trust, struct meta_writer *writer,
			 struct qcow2_seal *seal,
			 const struct qcow2_seal_device *now, dev_t origin,
			 dev_t mapped)
{
	const bool good = !(seal->flags & QCOW2_DMLIVE_SEAL_GAP) &&
			  fits(trust, seal, now);
	enum qcow2_dmlive_gap reason;

	trust->trusted = trust->trust_store && !good;
	if (good || trust->trusted) {
		carry_over(trust, seal, now, origin, mapped);
		return 0;
	}
	trust->is_gap = true;
	reason = reason_of(trust, seal, now);
	return reason ? meta_distrust(writer, seal, reason) : 0;
}

/*
 * A store that was not closed lacks what was written to the volume before this attach. If
 * that was in this run of the machine, the metadata device had failed at some time.
 */
static int settle_crashed(struct trust *trust, struct meta_writer *writer,
			  struct qcow2_seal *seal,
			  const struct qcow2_seal_device *now)
{
	const bool gap = seal->flags & QCOW2_DMLIVE_SEAL_GAP;

	if (is_untouched(now) && !gap && !trust->is_changed &&
	    !meta_seal_is_of_this_run(seal))
		return 0;
	trust->trusted = trust->trust_store;
	if (trust->trusted) {
		seal->flags &= ~QCOW2_DMLIVE_SEAL_GAP;
		seal->flags |= QCOW2_DMLIVE_SEAL_TRUSTED;
		return 0;
	}
	trust->is_gap = true;
	return gap ? 0 : meta_distrust(writer, seal, QCOW2_DMLIVE_GAP_CRASH);
}

static int settle(struct trust *trust, struct meta_writer *writer, dev_t origin,
		  dev_t mapped)
{
	const struct qcow2_store_header *header = &writer->store.header;
	bool has_seal, was_used = header->state_flags & QCOW2_DMLIVE_USED;
	struct qcow2_seal_device now;
	struct qcow2_seal seal;
	int r = 0;

	has_seal = meta_seal_read(&writer->store, &seal);
	trust->last_gap_s = seal.gap_to_s;
	blockdev_count(trust->volume->device.devt, &now);
	if (trust->is_other) {
		trust->is_gap = true;
		r = meta_distrust(writer, &seal, QCOW2_DMLIVE_GAP_OTHER_VOLUME);
	} else if (!was_used) {
		/* Not used before, so nothing can be missing. */
	} else if (!meta_was_closed(&writer->store)) {
		r = settle_crashed(trust, writer, &seal, &now);
	} else if (has_seal) {
		r = settle_closed(trust, writer, &seal, &now, origin, mapped);
	}
	if (r || !has_seal)
		return r;
	snprintf(seal.identity, sizeof(seal.identity), "%s", trust->identity);
	return meta_seal_write(writer, &seal);
}

int trust_settle(struct trust *trust, const struct guard *guard, dev_t origin,
		 dev_t mapped)
{
	struct meta_writer writer;
	int r;

	if (!trust->is_store)
		return 0;
	/* The table that is loaded has it open. */
	r = meta_writer_open(trust->meta, META_WRITER_HELD, &writer);
	if (r)
		return r;
	writer.guard = guard;
	r = settle(trust, &writer, origin, mapped);
	meta_writer_close(&writer);
	return r;
}

struct json_object *trust_report(const struct trust *trust)
{
	struct meta_store store;
	struct qcow2_seal seal;
	bool has_seal;

	if (!trust->is_store || meta_store_open(trust->meta, &store))
		return NULL;
	/* Now the store says so. */
	if (trust->is_changed)
		persist_clear_mark(trust->volume, PERSIST_CHANGED);
	has_seal = meta_seal_read(&store, &seal);
	meta_store_close(&store);
	if (!has_seal)
		warning("%s has no space for a seal, so writes to %s while it is not attached cannot be noticed; a new store has: dmlive meta format --track",
			trust->meta, trust->volume->device.path);
	if (trust->trusted)
		warning("%s is trusted because of --trust-store, although %s may have been written to meanwhile; if it was, the next increment is wrong",
			trust->meta, trust->volume->device.path);
	if (!trust->is_gap && seal.gap_to_s == trust->last_gap_s)
		return NULL;
	return meta_warn_of_gap(trust->volume->device.path, &seal);
}

static void ignore_message(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

/* The counts before and after show that nothing was written in between. */
static const char *seal_volume(struct meta_writer *writer,
			       const struct blockdev *volume)
{
	struct qcow2_seal_device before, after;
	struct qcow2_seal seal;

	if (!meta_seal_read(&writer->store, &seal) ||
	    !(seal.flags & QCOW2_DMLIVE_SEAL_SEALED) ||
	    !meta_was_closed(&writer->store))
		return "its metadata device was not closed cleanly";
	blockdev_count(volume->devt, &before);
	if (!meta_seal_holds(&seal, &before))
		return NULL;
	if (!volume_digest(volume, &writer->store, seal.digest))
		return "it cannot be read";
	blockdev_count(volume->devt, &after);
	if (!meta_seal_holds(&seal, &after))
		return NULL;
	seal.flags |= QCOW2_DMLIVE_SEAL_DIGEST;
	return meta_seal_write(writer, &seal) ?
	       "its metadata device cannot be written" : NULL;
}

void trust_add_digest(const struct blockdev *volume, const char *meta)
{
	uint8_t instance[QCOW2_DMLIVE_UUID_BYTES];
	struct meta_writer writer;
	const char *why = NULL;

	if (!dm_live_read_instance(instance))
		return;
	log_set_sink(ignore_message);
	if (blockdev_has_qcow2(meta) <= 0) {
		log_set_sink(NULL);
		return;
	}
	if (meta_writer_open(meta, 0, &writer)) {
		why = "its metadata device is in use";
	} else {
		if (writer.store.header.seal_offset)
			why = seal_volume(&writer, volume);
		meta_writer_close(&writer);
	}
	log_set_sink(NULL);
	if (why)
		warning("%s: %s, so after a restart of the machine all blocks will count as changed",
			volume->path, why);
}
