// SPDX-License-Identifier: GPL-2.0-only
/* SHA-256: the standard's examples, and the same digest however the data is split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/sha256.h"

static void hash(const void *data, size_t bytes, size_t part, char text[65])
{
	uint8_t digest[SHA256_BYTES];
	const uint8_t *at = data;
	struct sha256 sha;
	unsigned int i;

	sha256_start(&sha);
	for (; bytes; bytes -= part, at += part) {
		if (part > bytes)
			part = bytes;
		sha256_add(&sha, at, part);
	}
	sha256_end(&sha, digest);
	for (i = 0; i < SHA256_BYTES; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
}

static void test_examples(void **state)
{
	static const struct {
		const char *data, *digest;
	} examples[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	char text[65];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		hash(examples[i].data, strlen(examples[i].data), 1000, text);
		assert_string_equal(text, examples[i].digest);
	}
}

/* "a" a million times; and all lengths around a block, in parts of all sizes. */
static void test_parts(void **state)
{
	static uint8_t data[1000000];
	char whole[65], text[65];
	size_t bytes, part;

	(void)state;
	memset(data, 'a', sizeof(data));
	hash(data, sizeof(data), 7919, text);
	assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	for (bytes = 50; bytes < 140; bytes++) {
		hash(data, bytes, bytes, whole);
		for (part = 1; part < bytes; part++) {
			hash(data, bytes, part, text);
			assert_string_equal(text, whole);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
