// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sector of the seal: what is put in is found again, and anything else is not a seal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "dm-live/qcow2/generations.h"
#include "dm-live/qcow2/seal.h"

#define BYTES	QCOW2_DMLIVE_SEAL_BYTES

static const struct qcow2_seal example = {
	.flags = QCOW2_DMLIVE_SEAL_SEALED | QCOW2_DMLIVE_SEAL_DIGEST,
	.gap_reason = QCOW2_DMLIVE_GAP_BYPASS,
	.instance = "0123456789abcde",
	.origin = { 1, 1ULL << 40, 3, 4 },
	.device = { 5, 6, 1ULL << 63, 0 },
	.time_s = 1700000000,
	.gap_from_s = 1600000000,
	.gap_to_s = 1600000001,
	.digest = "a digest that has thirty-one b.",
	.identity = "dm:LVM-abcdef",
};

static struct qcow2_store_error error;
static u8 sector[BYTES];

static int make_sector(void **state)
{
	(void)state;
	qcow2_seal_encode(sector, &example);
	return 0;
}

static void found_again(void **state)
{
	struct qcow2_seal found;

	(void)state;
	memset(&found, 0xff, sizeof(found));
	assert_int_equal(qcow2_seal_decode(sector, &found, &error), 0);
	assert_memory_equal(&found, &example, sizeof(found));
}

/* The format must not change: a sector that was written by the first version. */
static void layout(void **state)
{
	static const struct {
		size_t at;
		u8 value;
	} bytes[] = {
		{ 0, 0x64 }, { 3, 0x73 }, { 7, 1 }, { 11, 3 }, { 15, 6 },
		{ 16, '0' }, { 39, 1 }, { 42, 1 }, { 55, 3 }, { 59, 4 },
		{ 71, 5 }, { 79, 6 }, { 80, 0x80 }, { 96 + 4, 0x65 },
		{ 104 + 4, 0x5f }, { 119, 1 }, { 120, 'a' }, { 152, 'd' },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes) / sizeof(*bytes); i++)
		if (sector[bytes[i].at] != bytes[i].value)
			fail_msg("byte %zu is %#x", bytes[i].at,
				 sector[bytes[i].at]);
}

static void each_bit_counts(void **state)
{
	const struct qcow2_seal none = { 0 };
	struct qcow2_seal found;
	size_t bit;

	(void)state;
	for (bit = 0; bit < BYTES * 8; bit++) {
		sector[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(qcow2_seal_decode(sector, &found, &error),
				 -EINVAL);
		assert_true(strlen(error.message) > 0);
		assert_memory_equal(&found, &none, sizeof(found));
		sector[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(qcow2_seal_decode(sector, &found, &error), 0);
}

/* A sector with a valid checksum, written by a later version. */
static void unknown_with_checksum(void **state)
{
	static const size_t places[] = { 7, 8 };	/* version, flags */
	struct qcow2_seal found;
	size_t i;
	u32 crc;

	for (i = 0; i < sizeof(places) / sizeof(*places); i++) {
		make_sector(state);
		sector[places[i]] = 0x12;
		crc = qcow2_crc32c(sector, BYTES - 4);
		sector[BYTES - 4] = crc >> 24;
		sector[BYTES - 3] = crc >> 16;
		sector[BYTES - 2] = crc >> 8;
		sector[BYTES - 1] = crc;
		assert_int_equal(qcow2_seal_decode(sector, &found, &error),
				 -EOPNOTSUPP);
		assert_int_equal(found.flags, 0);
	}
}

static void longest_identity(void **state)
{
	struct qcow2_seal seal = example, found;

	(void)state;
	memset(seal.identity, 'i', sizeof(seal.identity));
	qcow2_seal_encode(sector, &seal);
	assert_int_equal(qcow2_seal_decode(sector, &found, &error), 0);
	assert_int_equal(strlen(found.identity), QCOW2_DMLIVE_IDENTITY_BYTES);
}

static void compared(void **state)
{
	struct qcow2_seal_device a = example.origin, b = a;

	(void)state;
	assert_true(qcow2_seal_is_unchanged(&a, &b));
	b.written++;
	assert_true(qcow2_seal_is_same_device(&a, &b));
	assert_false(qcow2_seal_is_unchanged(&a, &b));
	b = a;
	b.discarded--;
	assert_false(qcow2_seal_is_unchanged(&a, &b));
	b = a;
	b.partition++;
	assert_false(qcow2_seal_is_same_device(&a, &b));
	b = a;
	b.seq++;
	assert_false(qcow2_seal_is_same_device(&a, &b));
	assert_false(qcow2_seal_is_unchanged(&a, &b));
}

static void broken(void **state)
{
	struct qcow2_seal seal = example;

	(void)state;
	seal.flags |= QCOW2_DMLIVE_SEAL_TRUSTED | QCOW2_DMLIVE_SEAL_GAP;
	qcow2_seal_break(&seal, 7);
	assert_int_equal(seal.flags, QCOW2_DMLIVE_SEAL_TRUSTED);
	assert_true(seal.time_s == 7 && !seal.digest[0]);
	assert_string_equal(seal.identity, example.identity);
	assert_int_equal(seal.gap_reason, example.gap_reason);
	assert_true(seal.gap_from_s == example.gap_from_s &&
		    seal.gap_to_s == example.gap_to_s);
}

static void gaps(void **state)
{
	const struct qcow2_seal_device uncounted = {
		.seq = 1,
		.partition = 4,
		.written = QCOW2_DMLIVE_SEAL_UNCOUNTED,
		.discarded = QCOW2_DMLIVE_SEAL_UNCOUNTED,
	};
	struct qcow2_seal seal = example;
	struct qcow2_seal_device origin = seal.origin, device = seal.device;

	(void)state;
#define FOUND() qcow2_seal_find_gap(&seal, &origin, &device, example.instance)
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_NONE);
	/* The counters of the mapped device do not matter if there are those of the origin. */
	device.seq++;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_NONE);
	origin.discarded++;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_WRITTEN);
	origin.seq++;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_OTHER_DEVICE);
	seal.instance[3] ^= 1;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_RESTARTED);
	seal.flags = 0;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_UNSEALED);
	seal.flags = QCOW2_DMLIVE_SEAL_SEALED | QCOW2_DMLIVE_SEAL_GAP;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_BYPASS);
	seal.gap_reason = 0;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_UNSEALED);

	/* An origin without counters, now or at the closing. */
	seal = example;
	device = seal.device;
	origin = uncounted;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_NONE);
	seal.origin = uncounted;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_NONE);
	origin = example.origin;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_NONE);
	device.written++;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_WRITTEN);
	device.seq++;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_UNCOUNTED);
	seal.device = uncounted;
	device = uncounted;
	assert_int_equal(FOUND(), QCOW2_DMLIVE_GAP_UNCOUNTED);
	assert_false(qcow2_seal_is_unchanged(&uncounted, &uncounted));
#undef FOUND
}

static void gap_recorded(void **state)
{
	struct qcow2_seal seal = example;

	(void)state;
	qcow2_seal_set_gap(&seal, QCOW2_DMLIVE_GAP_VOIDED, 5, 6);
	assert_int_equal(seal.flags, QCOW2_DMLIVE_SEAL_GAP);
	assert_int_equal(seal.gap_reason, QCOW2_DMLIVE_GAP_VOIDED);
	assert_true(seal.gap_from_s == 5 && seal.gap_to_s == 6);
	assert_string_equal(seal.identity, example.identity);
	assert_int_equal(qcow2_seal_find_gap(&seal, &seal.origin, &seal.device,
					     seal.instance),
			 QCOW2_DMLIVE_GAP_VOIDED);
}

static void reasons(void **state)
{
	u32 reason;

	(void)state;
	for (reason = 0; reason < QCOW2_DMLIVE_NR_GAPS; reason++)
		assert_true(strlen(qcow2_seal_reason(reason)) > 0);
	assert_string_equal(qcow2_seal_reason(reason), qcow2_seal_reason(~0U));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, make_sector)
		TEST(found_again),
		TEST(layout),
		TEST(each_bit_counts),
		TEST(unknown_with_checksum),
		TEST(longest_identity),
		TEST(compared),
		TEST(broken),
		TEST(gaps),
		TEST(gap_recorded),
		TEST(reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
