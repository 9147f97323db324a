// SPDX-License-Identifier: GPL-2.0-only
/*
 * Header extensions that are added in place: replacing a text again and again needs no
 * more space each time, and the data on disk is the same as in memory.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/extension.h"
#include "unit.h"

#define CLUSTER_BITS	12
#define CLUSTER		(1 << CLUSTER_BITS)
#define TYPE		QCOW2_EXT_DMLIVE_ORIGIN

static uint8_t memory[CLUSTER], disk[CLUSTER];
static struct meta_writer writer;

void error(const char *format, ...)
{
	(void)format;
}

int meta_write_sync(struct meta_writer *writer, uint64_t offset,
		    const void *data, size_t bytes)
{
	(void)writer;
	assert_true(offset + bytes <= CLUSTER);
	memcpy(disk + offset, data, bytes);
	return 0;
}

static int set_up(void **state)
{
	struct qcow2_header header = {
		.magic = htobe32(QCOW2_MAGIC),
		.version = htobe32(3),
		.cluster_bits = htobe32(CLUSTER_BITS),
		.header_length = htobe32(sizeof(header)),
	};

	(void)state;
	memset(memory, 0, sizeof(memory));
	memcpy(memory, &header, sizeof(header));
	memcpy(disk, memory, sizeof(disk));
	memset(&writer, 0, sizeof(writer));
	writer.store.first_cluster = memory;
	writer.store.header.cluster_bits = CLUSTER_BITS;
	writer.cluster_bytes = CLUSTER;
	return 0;
}

/* @text must be there, padded with blanks. Returns its offset. */
static size_t check_text(const char *text)
{
	uint32_t bytes, i;
	size_t at = meta_find_extension(&writer.store, TYPE, &bytes);

	assert_int_not_equal(at, 0);
	assert_true(bytes >= strlen(text));
	assert_memory_equal(memory + at, text, strlen(text));
	for (i = strlen(text); i < bytes; i++)
		assert_int_equal(memory[at + i], ' ');
	assert_memory_equal(memory, disk, CLUSTER);
	return at;
}

static void replace(const char *text)
{
	uint32_t ignored;
	size_t at = meta_find_extension(&writer.store, TYPE, &ignored);

	if (at)
		assert_int_equal(meta_retype_extension(&writer, at,
						       QCOW2_EXT_DMLIVE_FREE), 0);
	assert_int_equal(meta_add_text_extension(&writer, TYPE, text), 0);
}

static void text_of(char *text, size_t length)
{
	memset(text, 'a' + length % 26, length);
	text[length] = 0;
}

static void replaced_in_place(void **state)
{
	char text[512];
	size_t at, first;
	unsigned int i;

	(void)state;
	text_of(text, 200);
	replace(text);
	first = check_text(text);
	for (i = 0; i < 1000; i++) {
		text_of(text, 180 + i % 77);	/* 256 at most */
		replace(text);
		at = check_text(text);
		assert_int_equal(at, first);
	}
}

/* Longer texts are added at the end; then both places can be reused. */
static void longer_ones(void **state)
{
	char text[512];
	size_t first, second;
	unsigned int i;

	(void)state;
	text_of(text, 64);
	replace(text);
	first = check_text(text);
	text_of(text, 65);
	replace(text);
	second = check_text(text);
	assert_true(second > first);
	for (i = 0; i < 100; i++) {
		text_of(text, 1 + i);
		replace(text);
		assert_int_equal(check_text(text), i < 64 ? first : second);
	}
}

static void no_room(void **state)
{
	static char text[CLUSTER];

	(void)state;
	text_of(text, CLUSTER - 1);
	assert_int_equal(meta_add_text_extension(&writer, TYPE, text), -EINVAL);
	assert_memory_equal(memory, disk, CLUSTER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(replaced_in_place, set_up),
		cmocka_unit_test_setup(longer_ones, set_up),
		cmocka_unit_test_setup(no_room, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
