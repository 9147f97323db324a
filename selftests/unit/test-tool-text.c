// SPDX-License-Identifier: GPL-2.0-only
/*
 * The texts that the tool reads and writes: sizes, durations, status lines and table
 * lines; and the arithmetic of its speed limit.
 */
#include <errno.h>
#include <string.h>

#include "base/size.h"
#include "lines/status-line.h"
#include "base/rate.h"
#include "base/utf8.h"
#include "unit.h"

#define SECOND 1000000000ull

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} cases[] = {
		{ "a", 1 }, { "\x7f", 1 }, { "\x01", 1 },
		{ "\xc2\x80", 2 }, { "\xdf\xbf", 2 }, { "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 }, { "\xee\x80\x80", 3 },
		{ "\xef\xbf\xbd", 3 }, { "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 }, { "\xbf\x80", 0 }, { "\xff", 0 }, { "\xf8\x80", 0 },
		{ "\xc3", 0 }, { "\xc3(", 0 }, { "\xe2\x82", 0 },
		{ "\xf0\x9f\x98", 0 }, { "\xe2(\xa1", 0 },
		/* overlong, surrogates, too large */
		{ "\xc0\x80", 0 }, { "\xc1\xbf", 0 }, { "\xe0\x9f\xbf", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 }, { "\xed\xa0\x80", 0 },
		{ "\xed\xbf\xbf", 0 }, { "\xf4\x90\x80\x80", 0 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(cases); i++)
		assert_int_equal(utf8_character_bytes(cases[i].text),
				 cases[i].bytes);
}

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "512B", 512 }, { "64K", 65536 },
		{ "64k", 65536 }, { "64KiB", 65536 }, { "64kb", 65536 },
		{ "1.5M", 1572864 }, { "0.5K", 512 }, { "3G", 3ull << 30 },
		{ "2T", 2ull << 40 }, { "1P", 1ull << 50 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = {
		"", " ", "-1", "+1", "K", "1X", "1KK", "1.5", "1.", ".5K",
		"1 K", "0x10", "1Ki", "18446744073709551616", "16384P",
		"1e3", "1.5.5K",
	};
	uint64_t bytes;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(good); i++) {
		assert_int_equal(size_parse(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (i = 0; i < NR_OF(bad); i++)
		assert_int_not_equal(size_parse(bad[i], &bytes), 0);
}

static void test_number_parse(void **state)
{
	static const char *const bad[] = { "", "11", "-1", "1x", " 1", "99" };
	uint64_t number;
	unsigned int i;

	(void)state;
	assert_int_equal(number_parse("10", 10, &number), 0);
	assert_int_equal(number, 10);
	for (i = 0; i < NR_OF(bad); i++)
		assert_int_not_equal(number_parse(bad[i], 10, &number), 0);
	assert_int_equal(number_parse("3", 3, &number), 0);
	assert_int_equal(number, 3);
	assert_int_not_equal(number_parse("4", 3, &number), 0);
	assert_int_not_equal(number_parse("10", 3, &number), 0);
	assert_int_not_equal(number_parse("1", 0, &number), 0);
}

static void test_formats(void **state)
{
	char text[SIZE_TEXT_BYTES];

	(void)state;
	assert_string_equal(size_format(0, text), "0 B");
	assert_string_equal(size_format(1023, text), "1023 B");
	assert_string_equal(size_format(1536, text), "1.5 KiB");
	assert_string_equal(size_format(3ull << 40, text), "3.0 TiB");
	assert_string_equal(size_format(UINT64_MAX, text), "16384.0 PiB");
	assert_string_equal(duration_format(7, text), "7 s");
	assert_string_equal(duration_format(65, text), "1:05");
	assert_string_equal(duration_format(7265, text), "2:01:05");
}

static void test_status_line(void **state)
{
	struct alloctrack_status status;

	(void)state;
	assert_int_equal(status_line_parse("none running 12/40 8 4096 1 2 5 auto_remove stream_speed 1000 on_error stop",
					   &status), 0);
	assert_string_equal(status.meta, "none");
	assert_int_equal(status.state, DM_ALLOCTRACK_RUNNING);
	assert_int_equal(status.allocated_blocks, 12);
	assert_int_equal(status.total_blocks, 40);
	assert_int_equal(status.block_bytes, 4096);
	assert_int_equal(status.streamed_bytes, 4096);
	assert_int_equal(status.read_errors, 1);
	assert_int_equal(status.write_errors, 2);
	assert_int_equal(status.features.stream_speed, 1000);
	assert_int_equal(status.features.on_error, DM_ALLOCTRACK_ON_ERROR_STOP);
	/* From a later kernel. */
	assert_int_equal(status_line_parse("rw complete 40/40 8 0 0 0 1 shiny and more",
					   &status), 0);
	assert_int_equal(status.state, DM_ALLOCTRACK_COMPLETE);
}

static void test_status_line_malformed(void **state)
{
	static const char *const bad[] = {
		"", "none", "none running", "none running 1/2", "none running 1/2 8",
		"none sleeping 1/2 8 0 0 0 0", "none running 3/2 8 0 0 0 0",
		"none running 1/0 8 0 0 0 0", "none running 1 8 0 0 0 0",
		"none running 1/2 0 0 0 0 0", "none running 1/2 8 x 0 0 0",
		"none running -1/2 8 0 0 0 0", "none running 1/2 8 0 0 0 2 a",
		"much_too_long_a_word running 1/2 8 0 0 0 0",
		"none running 1/2 8 0 0 0 2 on_error maybe",
		"none running 1/2 8 0 0 0 1 stream_speed",
	};
	struct alloctrack_status status;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(bad); i++)
		assert_int_equal(status_line_parse(bad[i], &status), -EINVAL);
}

static void test_table_line(void **state)
{
	struct alloctrack_table table;

	(void)state;
	assert_int_equal(table_line_parse("254:0 user - 8 5 auto_remove on_error ignore user_timeout 30",
					  &table), 0);
	assert_string_equal(table.file, "254:0");
	assert_string_equal(table.backing, "user");
	assert_string_equal(table.meta, "-");
	assert_int_equal(table.block_bytes, 4096);
	assert_int_equal(table.features.on_error,
			 DM_ALLOCTRACK_ON_ERROR_IGNORE);
	assert_int_equal(table.features.user_timeout_s, 30);
	assert_int_equal(table_line_parse("254:0 254:1 - 4096", &table), 0);
	assert_int_equal(table.block_bytes, 2u << 20);
	assert_int_equal(table_line_parse("254:0 user -", &table), -EINVAL);
	assert_int_equal(table_line_parse("254:0 254:1 - 8 4 copy_on_read on_error stop target_is_zero",
					  &table), 0);
	assert_true(table.features.copy_on_read);
	assert_true(table.features.target_is_zero);
	assert_false(table.features.no_detect_zeroes);
}

static void test_allocated_bytes(void **state)
{
	struct alloctrack_status status = {
		.allocated_blocks = 2, .total_blocks = 3, .block_bytes = 4096,
	};

	(void)state;
	assert_int_equal(status_allocated_bytes(&status, 8704), 8192);
	status.allocated_blocks = 3;
	assert_int_equal(status_allocated_bytes(&status, 8704), 8704);
}

/* In the long run the rate is the limit. */
static void test_rate(void **state)
{
	struct rate rate = { 0 };
	uint64_t now_ns = 5 * SECOND, bytes = 0;

	(void)state;
	assert_int_equal(rate_ready_ns(&rate), 0);
	rate_set(&rate, 1000, now_ns);
	while (now_ns < 105 * SECOND) {
		if (rate_ready_ns(&rate) > now_ns)
			now_ns = rate_ready_ns(&rate);
		rate_charge(&rate, 300, now_ns);
		bytes += 300;
	}
	assert_in_range(bytes, 100000, 100600);

	/* Idle time is not saved up, but refunds are. */
	now_ns += 1000 * SECOND;
	rate_charge(&rate, 1000, now_ns);
	assert_int_equal(rate_ready_ns(&rate), now_ns + SECOND);
	rate_refund(&rate, 500);
	assert_int_equal(rate_ready_ns(&rate), now_ns + SECOND / 2);

	/* A new limit takes effect at once. */
	rate_charge(&rate, 1000000, now_ns);
	rate_set(&rate, 2000, now_ns);
	assert_true(rate_ready_ns(&rate) <= now_ns);
	rate_set(&rate, 0, now_ns);
	rate_charge(&rate, 1000000, now_ns);
	assert_int_equal(rate_ready_ns(&rate), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_number_parse),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_status_line),
		cmocka_unit_test(test_status_line_malformed),
		cmocka_unit_test(test_table_line),
		cmocka_unit_test(test_allocated_bytes),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
