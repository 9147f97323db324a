// SPDX-License-Identifier: GPL-2.0-only
/*
 * For comparing with another reader of qcow2:
 *
 *	qcow2-mutant mutate IMAGE SEED COUNT OUT	change COUNT fields of IMAGE
 *	qcow2-mutant read IMAGE OUT			write its content, raw
 *
 * "read" exits with 1 after a refusal, with 3 if the disk is too large to be compared, and
 * with another status after a report of a sanitizer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qcow2-mutate.h"
#include "qcow2/convert.h"
#include "qcow2/image.h"

#define MAX_IMAGE_BYTES (4U << 20)
#define MAX_DISK_BYTES (64ULL << 20)

enum status {
	STATUS_OK = 0,
	STATUS_REFUSED = 1,
	STATUS_USAGE = 2,
	STATUS_TOO_LARGE = 3,
};

static int mutate(const char *from, const char *seed, const char *count,
		  const char *to)
{
	static uint8_t bytes[MAX_IMAGE_BYTES];
	uint64_t random = strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15ULL + 1;
	unsigned int left = strtoul(count, NULL, 10), tries;
	struct qcow2_mutation mutation;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	ssize_t size = read(in, bytes, sizeof(bytes));

	if (in < 0 || out < 0 || size < 0)
		return STATUS_USAGE;
	for (tries = 0; left && tries < 1000; tries++) {
		qcow2_mutate(bytes, size, &random, &mutation);
		if (!mutation.bytes || mutation.before == mutation.after)
			continue;
		printf("%s: %u bytes at %llu: %#llx -> %#llx\n",
		       mutation.structure, mutation.bytes,
		       (unsigned long long)mutation.offset,
		       (unsigned long long)mutation.before,
		       (unsigned long long)mutation.after);
		left--;
	}
	return write(out, bytes, size) == size ? STATUS_OK : STATUS_USAGE;
}

static int read_image(const char *from, const char *to)
{
	struct image_options options = { .format = "qcow2" };
	struct convert convert = {
		.target_path = to,
		.options = { .format = WRITER_RAW, .replace = true },
		.threads = 1,
	};
	struct image_error err = { "" };
	int ret;

	ret = image_open(from, &options, &convert.image, &err);
	if (!ret && image_size(convert.image) > MAX_DISK_BYTES) {
		image_close(convert.image);
		return STATUS_TOO_LARGE;
	}
	if (!ret) {
		ret = convert_run(&convert, &err);
		image_close(convert.image);
	}
	if (!ret)
		return STATUS_OK;
	if (!err.message[0])
		abort();
	printf("%s\n", err.message);
	return STATUS_REFUSED;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "mutate"))
		return mutate(argv[2], argv[3], argv[4], argv[5]);
	if (argc == 4 && !strcmp(argv[1], "read"))
		return read_image(argv[2], argv[3]);
	fprintf(stderr, "usage: see the source\n");
	return STATUS_USAGE;
}
