// SPDX-License-Identifier: GPL-2.0-only
/* The seal of a store, see seal.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../dm-live/qcow2/extensions.h"
#include "../dm-live/qcow2/generations.h"
#include "block/counters.h"
#include "base/log.h"
#include "store/extension.h"
#include "store/seal.h"

#define TIME_BYTES 32

static uint8_t *sector_of(const struct meta_store *store)
{
	return store->first_cluster + store->header.seal_offset;
}

bool meta_seal_read(const struct meta_store *store, struct qcow2_seal *seal)
{
	struct qcow2_store_error ignored;

	memset(seal, 0, sizeof(*seal));
	if (!store->header.seal_offset)
		return false;
	qcow2_seal_decode(sector_of(store), seal, &ignored);
	return true;
}

int meta_seal_write(struct meta_writer *writer, const struct qcow2_seal *seal)
{
	uint8_t *sector = sector_of(&writer->store);
	uint8_t new[QCOW2_DMLIVE_SEAL_BYTES];

	qcow2_seal_encode(new, seal);
	if (!memcmp(sector, new, sizeof(new)))
		return 0;
	memcpy(sector, new, sizeof(new));
	return meta_write_sync(writer, writer->store.header.seal_offset, sector,
			       QCOW2_DMLIVE_SEAL_BYTES);
}

/* Where its payload would be; 0: there is no room. */
static size_t find_room(const struct meta_store *store)
{
	const size_t cluster_bytes = 1UL << store->header.cluster_bits;
	size_t mark = meta_extensions_end(store), at, end;

	at = mark + qcow2_extension_bytes(0);
	end = mark + qcow2_extension_bytes(qcow2_sector_extension_bytes(at)) +
	      qcow2_extension_bytes(0) +
	      (store->backing ? strlen(store->backing) : 0);
	return mark && end <= cluster_bytes ? at : 0;
}

bool meta_seal_can_be_added(const struct meta_store *store)
{
	return store->header.generations_offset && !store->header.seal_offset &&
	       find_room(store);
}

int meta_seal_add(struct meta_writer *writer)
{
	uint8_t payload[2 * QCOW2_DMLIVE_SEAL_BYTES] = { 0 };
	uint8_t sector[QCOW2_DMLIVE_SEAL_BYTES];
	const struct qcow2_seal none = { 0 };
	size_t at = find_room(&writer->store);
	uint32_t bytes;
	int r;

	qcow2_seal_encode(sector, &none);
	bytes = qcow2_pad_sector(payload, at, sector);
	r = meta_add_extension(writer, QCOW2_EXT_DMLIVE_SEAL, payload, bytes);
	if (!r)
		writer->store.header.seal_offset =
			at + bytes - QCOW2_DMLIVE_SEAL_BYTES;
	return r;
}

/* After a crash the target adds what may be missing: make it add all. */
static int forget_intent(struct meta_writer *writer)
{
	const uint32_t flags = writer->store.header.state_flags;

	return flags & QCOW2_DMLIVE_TRACKING ?
	       meta_set_state(writer, flags & ~QCOW2_DMLIVE_TRACKING) : 0;
}

static int drop_generations(struct meta_writer *writer)
{
	const struct meta_store *store = &writer->store;
	uint8_t *sector = store->first_cluster +
			  store->header.generations_offset;
	uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES];
	struct qcow2_store_error ignored;

	/* Damaged generations count as none. */
	if (!store->header.generations_offset ||
	    qcow2_generations_check(sector, &ignored))
		return 0;
	qcow2_generations_uuid(sector, uuid);
	qcow2_generations_init(sector, uuid);
	return meta_write_sync(writer, store->header.generations_offset, sector,
			       QCOW2_DMLIVE_GENERATIONS_BYTES);
}

int meta_distrust(struct meta_writer *writer, struct qcow2_seal *seal,
		  enum qcow2_dmlive_gap reason)
{
	int r;

	/* Crash between: all counts as changed, perhaps for another reason. */
	r = drop_generations(writer) ?: forget_intent(writer);
	if (r || !writer->store.header.seal_offset)
		return r;
	qcow2_seal_set_gap(seal, reason, seal->time_s, time(NULL));
	return meta_seal_write(writer, seal);
}

bool meta_seal_is_of_this_run(const struct qcow2_seal *seal)
{
	uint8_t instance[QCOW2_DMLIVE_UUID_BYTES];

	return dm_live_read_instance(instance) &&
	       !memcmp(instance, seal->instance, sizeof(instance));
}

bool meta_seal_holds(const struct qcow2_seal *seal,
		     const struct qcow2_seal_device *now)
{
	return seal->flags & QCOW2_DMLIVE_SEAL_SEALED &&
	       meta_seal_is_of_this_run(seal) &&
	       (qcow2_seal_is_unchanged(&seal->device, now) ||
		qcow2_seal_is_unchanged(&seal->origin, now));
}

bool meta_was_closed(const struct meta_store *store)
{
	const uint32_t both = QCOW2_BITMAP_AUTO | QCOW2_BITMAP_IN_USE;
	uint32_t i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if ((store->bitmaps[i].entry.flags & both) == both)
			return false;
	return true;
}

static const char *format_time(uint64_t seconds, char text[TIME_BYTES])
{
	const time_t time = seconds;
	struct tm tm;

	if (!seconds || !localtime_r(&time, &tm) ||
	    !strftime(text, TIME_BYTES, "%F %T", &tm))
		snprintf(text, TIME_BYTES, "an unknown time");
	return text;
}

const char *meta_gap_text(const struct qcow2_seal *seal,
			  char text[META_GAP_BYTES])
{
	char from[TIME_BYTES], to[TIME_BYTES];
	const bool known = seal->gap_from_s;

	snprintf(text, META_GAP_BYTES,
		 "changes were not tracked %s%s%s %s (%s)",
		 known ? "from " : "",
		 known ? format_time(seal->gap_from_s, from) : "",
		 known ? " to" : "until", format_time(seal->gap_to_s, to),
		 qcow2_seal_reason(seal->gap_reason));
	return text;
}

struct json_object *meta_gap_json(const struct qcow2_seal *seal)
{
	struct json_object *object;

	if (!seal->gap_reason)
		return NULL;
	object = json_new_object();
	json_add(object, "from", seal->gap_from_s ?
		 json_object_new_int64(seal->gap_from_s) : NULL);
	json_add_number(object, "to", seal->gap_to_s);
	json_add_string(object, "reason", qcow2_seal_reason(seal->gap_reason));
	return object;
}

struct json_object *meta_warn_of_gap(const char *device,
				     const struct qcow2_seal *seal)
{
	char gap[META_GAP_BYTES];

	warning("%s: %s: all blocks count as changed, and the next backup is a full one",
		device, meta_gap_text(seal, gap));
	return meta_gap_json(seal);
}

void meta_seal_print(const struct meta_store *store)
{
	char time[TIME_BYTES], gap[META_GAP_BYTES];
	struct qcow2_seal seal;

	if (!store->header.generations_offset)
		return;
	if (!meta_seal_read(store, &seal)) {
		printf("sealed: no, there is no place for a seal (dmlive meta prepare)\n");
		return;
	}
	if (seal.flags & QCOW2_DMLIVE_SEAL_SEALED)
		printf("sealed: %s%s\n", format_time(seal.time_s, time),
		       seal.flags & QCOW2_DMLIVE_SEAL_DIGEST ?
		       ", with a digest" : "");
	else
		printf("sealed: no\n");
	printf("volume: %s\n", *seal.identity ? seal.identity : "not bound");
	if (seal.flags & QCOW2_DMLIVE_SEAL_TRUSTED)
		printf("trusted: by --trust-store\n");
	if (seal.gap_reason)
		printf("last gap: %s\n", meta_gap_text(&seal, gap));
}

void meta_seal_add_json(const struct meta_store *store,
			struct json_object *object)
{
	struct qcow2_seal seal;
	bool sealed;

	meta_seal_read(store, &seal);
	sealed = seal.flags & QCOW2_DMLIVE_SEAL_SEALED;
	json_add_bool(object, "has-seal", store->header.seal_offset);
	json_add_bool(object, "sealed", sealed);
	json_add(object, "seal-time", sealed ?
		 json_object_new_int64(seal.time_s) : NULL);
	json_add_bool(object, "digest",
		      seal.flags & QCOW2_DMLIVE_SEAL_DIGEST);
	json_add_bool(object, "trusted",
		      seal.flags & QCOW2_DMLIVE_SEAL_TRUSTED);
	json_add_string(object, "volume",
			*seal.identity ? seal.identity : NULL);
	json_add(object, "gap", meta_gap_json(&seal));
}
