// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sector of generations: what is put in is found again, and anything else is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "dm-live/qcow2/generations.h"

#define BYTES	QCOW2_DMLIVE_GENERATIONS_BYTES

static const u8 uuid[QCOW2_DMLIVE_UUID_BYTES] = "0123456789abcde";
static struct qcow2_store_error error;
static u8 sector[BYTES];

static int make_sector(void **state)
{
	(void)state;
	qcow2_generations_init(sector, uuid);
	return 0;
}

static void known_checksum(void **state)
{
	(void)state;
	/* From RFC 3720, B.4. */
	assert_int_equal(qcow2_crc32c("123456789", 9), 0xe3069283);
}

static void empty_sector(void **state)
{
	u8 found[QCOW2_DMLIVE_UUID_BYTES];

	(void)state;
	assert_int_equal(qcow2_generations_check(sector, &error), 0);
	qcow2_generations_uuid(sector, found);
	assert_memory_equal(found, uuid, sizeof(uuid));
	assert_int_equal(qcow2_generations_get(sector, 0), 0);
	assert_int_equal(qcow2_generations_get(sector, 7), 0);
}

static void found_again(void **state)
{
	u64 i;

	(void)state;
	for (i = 0; i < QCOW2_DMLIVE_MAX_GENERATIONS; i++) {
		assert_int_equal(qcow2_generations_set(sector, i, ~i), 0);
		assert_int_equal(qcow2_generations_check(sector, &error), 0);
	}
	assert_int_equal(qcow2_generations_set(sector, i, 1), -ENOSPC);
	assert_int_equal(qcow2_generations_set(sector, 3, 33), 0);
	for (i = 0; i < QCOW2_DMLIVE_MAX_GENERATIONS; i++)
		assert_true(qcow2_generations_get(sector, i) ==
			    (i == 3 ? 33 : ~i));
	for (i = 0; i < QCOW2_DMLIVE_MAX_GENERATIONS; i += 2) {
		assert_int_equal(qcow2_generations_set(sector, i, 0), 0);
		assert_int_equal(qcow2_generations_set(sector, i, 0), 0);
		assert_int_equal(qcow2_generations_check(sector, &error), 0);
	}
	for (i = 0; i < QCOW2_DMLIVE_MAX_GENERATIONS; i++)
		assert_int_equal(!!qcow2_generations_get(sector, i), i % 2);
	assert_int_equal(qcow2_generations_set(sector, 100, 5), 0);
	assert_true(qcow2_generations_get(sector, 100) == 5);
}

static void each_bit_counts(void **state)
{
	size_t bit;

	(void)state;
	qcow2_generations_set(sector, 1, 2);
	for (bit = 0; bit < BYTES * 8; bit++) {
		sector[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(qcow2_generations_check(sector, &error),
				 -EINVAL);
		assert_true(strlen(error.message) > 0);
		sector[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(qcow2_generations_check(sector, &error), 0);
}

/* A sector with a valid checksum and invalid content. */
static void refused_with_checksum(void **state)
{
	static const struct {
		size_t at;
		u8 value;
		int result;
		const char *message;
	} mutations[] = {
		{ 7, 2, -EOPNOTSUPP, "version 2" },
		{ 24, 1, -EINVAL, "invalid number" },
		{ 27, 30, -EINVAL, "invalid number" },
		{ 27, 2, -EINVAL, "generation 1 is 0" },
		{ 31, 1, -EINVAL, "reserved field" },
		{ 47, 0, -EINVAL, "generation 0 is 0" },
		{ 55, 1, -EINVAL, "not in use" },
		{ 507, 1, -EINVAL, "padding" },
	};
	size_t i;
	u32 crc;

	for (i = 0; i < sizeof(mutations) / sizeof(*mutations); i++) {
		make_sector(state);
		qcow2_generations_set(sector, 1, 2);
		sector[mutations[i].at] = mutations[i].value;
		crc = qcow2_crc32c(sector, BYTES - 4);
		sector[BYTES - 4] = crc >> 24;
		sector[BYTES - 3] = crc >> 16;
		sector[BYTES - 2] = crc >> 8;
		sector[BYTES - 1] = crc;
		assert_int_equal(qcow2_generations_check(sector, &error),
				 mutations[i].result);
		if (!strstr(error.message, mutations[i].message))
			fail_msg("'%s' does not say '%s'", error.message,
				 mutations[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, make_sector)
		TEST(known_checksum),
		TEST(empty_sector),
		TEST(found_again),
		TEST(each_bit_counts),
		TEST(refused_with_checksum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
