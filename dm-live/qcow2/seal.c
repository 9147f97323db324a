// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracked device looked like when a store was closed, see seal.h.
 */
#include "bytes.h"
#include "generations.h"
#include "seal.h"

#define FIELD(sector, field) \
	((u8 *)(sector) + offsetof(struct qcow2_dmlive_seal, field))
#define DEVICE_FIELD(at, field) \
	((u8 *)(at) + offsetof(struct qcow2_dmlive_seal_device, field))

static u32 sum(const void *sector)
{
	return qcow2_crc32c(sector, offsetof(struct qcow2_dmlive_seal, crc32c));
}

static void encode_device(void *at, const struct qcow2_seal_device *device)
{
	put_be64(DEVICE_FIELD(at, seq), device->seq);
	put_be64(DEVICE_FIELD(at, written), device->written);
	put_be64(DEVICE_FIELD(at, discarded), device->discarded);
	put_be32(DEVICE_FIELD(at, partition), device->partition);
}

static void decode_device(const void *at, struct qcow2_seal_device *device)
{
	device->seq = be64_at(DEVICE_FIELD(at, seq));
	device->written = be64_at(DEVICE_FIELD(at, written));
	device->discarded = be64_at(DEVICE_FIELD(at, discarded));
	device->partition = be32_at(DEVICE_FIELD(at, partition));
}

void qcow2_seal_encode(void *sector, const struct qcow2_seal *seal)
{
	size_t bytes = strnlen(seal->identity, QCOW2_DMLIVE_IDENTITY_BYTES);

	memset(sector, 0, QCOW2_DMLIVE_SEAL_BYTES);
	put_be32(FIELD(sector, magic), QCOW2_EXT_DMLIVE_SEAL);
	put_be32(FIELD(sector, version), QCOW2_DMLIVE_SEAL_VERSION);
	put_be32(FIELD(sector, flags), seal->flags);
	put_be32(FIELD(sector, gap_reason), seal->gap_reason);
	memcpy(FIELD(sector, instance), seal->instance, sizeof(seal->instance));
	encode_device(FIELD(sector, origin), &seal->origin);
	encode_device(FIELD(sector, device), &seal->device);
	put_be64(FIELD(sector, time), seal->time_s);
	put_be64(FIELD(sector, gap_from), seal->gap_from_s);
	put_be64(FIELD(sector, gap_to), seal->gap_to_s);
	memcpy(FIELD(sector, digest), seal->digest, sizeof(seal->digest));
	memcpy(FIELD(sector, identity), seal->identity, bytes);
	put_be32(FIELD(sector, crc32c), sum(sector));
}

static int check(const void *sector, struct qcow2_store_error *error)
{
	u32 version = be32_at(FIELD(sector, version));
	u32 flags = be32_at(FIELD(sector, flags));

	if (be32_at(FIELD(sector, magic)) != QCOW2_EXT_DMLIVE_SEAL)
		return refuse(error, "the sector of the seal does not begin with its mark");
	if (be32_at(FIELD(sector, crc32c)) != sum(sector))
		return refuse(error, "the checksum of the seal is wrong");
	if (version != QCOW2_DMLIVE_SEAL_VERSION)
		return refuse_unsupported(error, "the seal has version %u, not %u",
					  version, QCOW2_DMLIVE_SEAL_VERSION);
	if (flags & QCOW2_DMLIVE_SEAL_RESERVED_FLAGS)
		return refuse_unsupported(error, "the seal has unknown flags %#x",
					  flags);
	return 0;
}

int qcow2_seal_decode(const void *sector, struct qcow2_seal *seal,
		      struct qcow2_store_error *error)
{
	int r = check(sector, error);

	memset(seal, 0, sizeof(*seal));
	if (r)
		return r;
	seal->flags = be32_at(FIELD(sector, flags));
	seal->gap_reason = be32_at(FIELD(sector, gap_reason));
	memcpy(seal->instance, FIELD(sector, instance), sizeof(seal->instance));
	decode_device(FIELD(sector, origin), &seal->origin);
	decode_device(FIELD(sector, device), &seal->device);
	seal->time_s = be64_at(FIELD(sector, time));
	seal->gap_from_s = be64_at(FIELD(sector, gap_from));
	seal->gap_to_s = be64_at(FIELD(sector, gap_to));
	memcpy(seal->digest, FIELD(sector, digest), sizeof(seal->digest));
	memcpy(seal->identity, FIELD(sector, identity),
	       QCOW2_DMLIVE_IDENTITY_BYTES);
	return 0;
}

bool qcow2_seal_is_same_device(const struct qcow2_seal_device *a,
			       const struct qcow2_seal_device *b)
{
	return a->seq == b->seq && a->partition == b->partition;
}
EXPORT_SYMBOL_GPL(qcow2_seal_is_same_device);

bool qcow2_seal_is_counted(const struct qcow2_seal_device *device)
{
	return device->written != QCOW2_DMLIVE_SEAL_UNCOUNTED;
}
EXPORT_SYMBOL_GPL(qcow2_seal_is_counted);

bool qcow2_seal_is_unchanged(const struct qcow2_seal_device *a,
			     const struct qcow2_seal_device *b)
{
	return qcow2_seal_is_same_device(a, b) && qcow2_seal_is_counted(a) &&
	       a->written == b->written && a->discarded == b->discarded;
}
EXPORT_SYMBOL_GPL(qcow2_seal_is_unchanged);

/*
 * The origin's counts include all writes to it. Where it has none, those of the
 * mapped device at least include writes there while another table takes the target's
 * place.
 */
u32 qcow2_seal_find_gap(const struct qcow2_seal *seal,
			const struct qcow2_seal_device *origin,
			const struct qcow2_seal_device *device,
			const u8 instance[QCOW2_DMLIVE_UUID_BYTES])
{
	const struct qcow2_seal_device *then = &seal->origin, *now = origin;

	if (seal->flags & QCOW2_DMLIVE_SEAL_GAP)
		return seal->gap_reason ?: QCOW2_DMLIVE_GAP_UNSEALED;
	if (!(seal->flags & QCOW2_DMLIVE_SEAL_SEALED))
		return QCOW2_DMLIVE_GAP_UNSEALED;
	if (memcmp(seal->instance, instance, QCOW2_DMLIVE_UUID_BYTES))
		return QCOW2_DMLIVE_GAP_RESTARTED;
	if (!qcow2_seal_is_same_device(then, now))
		return QCOW2_DMLIVE_GAP_OTHER_DEVICE;
	if (!qcow2_seal_is_counted(then) || !qcow2_seal_is_counted(now)) {
		then = &seal->device;
		now = device;
		if (!qcow2_seal_is_same_device(then, now) ||
		    !qcow2_seal_is_counted(then) || !qcow2_seal_is_counted(now))
			return QCOW2_DMLIVE_GAP_UNCOUNTED;
	}
	return qcow2_seal_is_unchanged(then, now) ? QCOW2_DMLIVE_GAP_NONE :
						    QCOW2_DMLIVE_GAP_WRITTEN;
}
EXPORT_SYMBOL_GPL(qcow2_seal_find_gap);

void qcow2_seal_break(struct qcow2_seal *seal, u64 now_s)
{
	seal->flags &= QCOW2_DMLIVE_SEAL_TRUSTED;
	memset(seal->digest, 0, sizeof(seal->digest));
	seal->time_s = now_s;
}
EXPORT_SYMBOL_GPL(qcow2_seal_break);

void qcow2_seal_set_gap(struct qcow2_seal *seal, u32 reason, u64 from_s,
			u64 to_s)
{
	qcow2_seal_break(seal, to_s);
	seal->flags |= QCOW2_DMLIVE_SEAL_GAP;
	seal->gap_reason = reason;
	seal->gap_from_s = from_s;
	seal->gap_to_s = to_s;
}
EXPORT_SYMBOL_GPL(qcow2_seal_set_gap);

const char *qcow2_seal_reason(u32 reason)
{
	static const char *const words[QCOW2_DMLIVE_NR_GAPS] = {
		[QCOW2_DMLIVE_GAP_NONE] = "no reason",
		[QCOW2_DMLIVE_GAP_UNSEALED] =
			"nothing was recorded when tracking ended",
		[QCOW2_DMLIVE_GAP_DAMAGED] =
			"what was recorded when tracking ended is damaged",
		[QCOW2_DMLIVE_GAP_RESTARTED] =
			"the machine or the kernel module was restarted",
		[QCOW2_DMLIVE_GAP_OTHER_DEVICE] =
			"the device below is another one than before",
		[QCOW2_DMLIVE_GAP_WRITTEN] =
			"the device was written to without tracking",
		[QCOW2_DMLIVE_GAP_BYPASS] =
			"the device below was written to directly",
		[QCOW2_DMLIVE_GAP_UNCOUNTED] =
			"the device does not count what is written to it",
		[QCOW2_DMLIVE_GAP_OTHER_VOLUME] =
			"the store was that of another volume",
		[QCOW2_DMLIVE_GAP_VOIDED] =
			"the volume was overwritten by dmlive",
		[QCOW2_DMLIVE_GAP_CRASH] =
			"the device was written to after a crash",
	};

	return reason < QCOW2_DMLIVE_NR_GAPS ? words[reason] :
					      "a reason that is not known";
}
EXPORT_SYMBOL_GPL(qcow2_seal_reason);
