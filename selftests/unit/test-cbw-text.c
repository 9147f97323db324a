// SPDX-License-Identifier: GPL-2.0-only
/* Table and status lines of the target cbw as the tool reads and writes them. */
#include <errno.h>
#include <string.h>

#include "lines/cbw-status.h"
#include "lines/cbw-table.h"
#include "unit.h"

#define WHOLE_LINE \
	"253:3 - 8 11 target /dev/vg/old on_cbw_error break_snapshot " \
	"cbw_timeout 5000000000 job job_speed 7 on_target_error enospc"

static void test_table_format(void **state)
{
	struct cbw_table table = { .origin = "253:3", .meta = "-" };
	char params[CBW_PARAMS_BYTES];

	(void)state;
	assert_int_equal(cbw_table_format(&table, params, sizeof(params)), 0);
	assert_string_equal(params, "253:3 - - 0");

	/* The features of a session are left out without one. */
	table.block_bytes = 4096;
	table.features.job = true;
	table.features.break_snapshot = true;
	assert_int_equal(cbw_table_format(&table, params, sizeof(params)), 0);
	assert_string_equal(params, "253:3 - 8 0");

	table.features.store = CBW_STORE_TARGET;
	strcpy(table.features.store_device, "/dev/vg/old");
	table.features.timeout_ms = 5000000000;
	table.features.job_speed = 7;
	table.features.on_target_error = CBW_ON_ERROR_ENOSPC;
	assert_int_equal(cbw_table_format(&table, params, sizeof(params)), 0);
	assert_string_equal(params, WHOLE_LINE);
	assert_int_equal(cbw_table_format(&table, params, 40), -EINVAL);

	table.features.store = CBW_STORE_FLEECE;
	table.features.has_low_water = true;
	table.features.break_snapshot = false;
	table.features.timeout_ms = 0;
	assert_int_equal(cbw_table_format(&table, params, sizeof(params)), 0);
	assert_string_equal(params, "253:3 - 8 4 fleece /dev/vg/old fleece_low_water 0");
}

static void test_table_parse(void **state)
{
	static const char *const same[] = {
		"253:3 - 128 0",
		"253:3 - - 0",
		"253:3 253:9 8 0",
		"253:3 - 8 2 target 7:1",
		"253:3 253:9 8 4 fleece 7:1 bitmap day",
		"253:3 253:9 8 6 fleece 7:1 new_bitmap day generation 18446744073709551615",
		"253:3 253:9 8 2 on_meta_error break_tracking",
		"253:3 253:9 8 4 on_meta_error break_tracking target 7:1",
		"253:3 - 8 6 target 7:1 on_cbw_error break_snapshot cbw_timeout 45000",
		"253:3 - 8 7 target 7:1 job job_speed 9 job_workers 16",
		"253:3 - 8 6 target 7:1 on_source_error stop on_target_error ignore",
		"253:3 - 8 4 fleece 7:1 fleece_low_water 100",
	};
	static const char *const bad[] = {
		"", "253:3", "253:3 -", "253:3 - x 0", "253:3 - 0 0",
		"253:3 - 8 x", "253:3 - 8 1", "253:3 - 8 1 target",
		"253:3 - 8 2 cbw_timeout x", "253:3 - 8 2 on_cbw_error report",
		"253:3 - 8 2 generation -1", "253:3 - 8 2 on_source_error x", "253:3 - 8 2 fleece_low_water 101",
		"253:3 253:9 8 2 on_meta_error x",
	};
	char params[CBW_PARAMS_BYTES];
	struct cbw_table table;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(same); i++) {
		assert_int_equal(cbw_table_parse(same[i], &table), 0);
		assert_int_equal(cbw_table_format(&table, params,
						  sizeof(params)), 0);
		assert_string_equal(params, same[i]);
	}
	for (i = 0; i < NR_OF(bad); i++)
		assert_int_equal(cbw_table_parse(bad[i], &table), -EINVAL);
	/* From a newer kernel. */
	assert_int_equal(cbw_table_parse("253:3 - 8 4 new target 7:1 newer",
					 &table), 0);
	assert_int_equal(table.features.store, CBW_STORE_TARGET);
}

static const char good_status[] =
	"active 16/2047 8 running 65536/8384512 5 1 2 3/4 3 target 7:1 job and more";

static void test_status(void **state)
{
	struct cbw_status status;

	(void)state;
	assert_int_equal(cbw_status_parse("none 0/0 128 none 0/0 0 0 0 0/0 0",
					  &status), 0);
	assert_int_equal(status.session, CBW_SESSION_NONE);
	assert_int_equal(status.block_bytes, 65536);
	assert_int_equal(cbw_status_parse(good_status, &status), 0);
	assert_int_equal(status.session, CBW_SESSION_ACTIVE);
	assert_int_equal(status.copied_blocks, 16);
	assert_int_equal(status.scope_blocks, 2047);
	assert_int_equal(status.job, CBW_JOB_RUNNING);
	assert_int_equal(status.job_bytes, 65536);
	assert_int_equal(status.job_total_bytes, 8384512);
	assert_int_equal(status.cow_writes, 5);
	assert_int_equal(status.source_errors, 1);
	assert_int_equal(status.target_errors, 2);
	assert_int_equal(status.slots_used, 3);
	assert_int_equal(status.slots, 4);
	assert_int_equal(status.features.store, CBW_STORE_TARGET);
	assert_true(status.features.job);
	assert_string_equal(cbw_session_name(status.session), "active");
	assert_string_equal(cbw_job_name(status.job), "running");
}

static void test_status_malformed(void **state)
{
	static const char *const bad[] = {
		"ended 16/2047 8 running 65536/8384512 5 1 2 3/4 0",
		"active 17/16 8 running 65536/8384512 5 1 2 3/4 0",
		"active 16/2047 0 running 65536/8384512 5 1 2 3/4 0",
		"active 16/2047 8 idle 65536/8384512 5 1 2 3/4 0",
		"active 16/2047 8 running 65536 5 1 2 3/4 0",
		"active 16/2047 8 running 65536/8384512 -5 1 2 3/4 0",
		"active 16/2047 8 running 65536/8384512 5 1 2 3 0",
		"active 16/2047 8 running 65536/8384512 5 1 2 3/4 x",
	};
	struct cbw_status status;
	char text[sizeof(good_status)];
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(bad); i++)
		assert_int_equal(cbw_status_parse(bad[i], &status), -EINVAL);
	/* Truncated anywhere before the number of features. */
	for (i = 0; i < strlen("active 16/2047 8 running 65536/8384512 5 1 2 3");
	     i++) {
		memcpy(text, good_status, i);
		text[i] = '\0';
		assert_int_equal(cbw_status_parse(text, &status), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_format),
		cmocka_unit_test(test_table_parse),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
