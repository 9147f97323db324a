// SPDX-License-Identifier: GPL-2.0-only
/*
 * parallel-io: several I/O requests, which may have to wait, in flight at once.
 *
 *	parallel-io DEVICE OPERATION...
 *
 * OPERATION is read:OFFSET:LENGTH or write:OFFSET:LENGTH, in bytes: one direct
 * request in a thread of its own. Writes have the format of paint.c and the tag
 * "written". Prints "started", and a line for each operation when it ends: the
 * operation and its outcome. The outcome of a read is the tag of its data, "zeros"
 * or "mixed"; of a write "done"; or the name of the error. Exit status: 0 when all
 * have ended, also with errors.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR_BYTES	512
#define SECTOR_WORDS	(SECTOR_BYTES / 8)
#define MAX_OPERATIONS	64

static int device;

struct operation {
	pthread_t thread;
	const char *text;
	bool write;
	unsigned long long offset;
	unsigned long long length;
	uint64_t *data;
};

static uint64_t position_word(const struct operation *operation, size_t word)
{
	uint64_t sector = (operation->offset + word * 8) / SECTOR_BYTES;

	return sector * SECTOR_WORDS + word % SECTOR_WORDS;
}

static void paint(const struct operation *operation)
{
	for (size_t w = 0; w < operation->length / 8; w += 2) {
		memcpy(&operation->data[w], "written", 8);
		operation->data[w + 1] = position_word(operation, w);
	}
}

static const char *content(const struct operation *operation, char tag[9])
{
	const uint64_t *data = operation->data;
	bool zero = !data[0];

	memcpy(tag, data, 8);
	tag[8] = '\0';
	for (size_t w = 0; w < operation->length / 8; w += 2) {
		uint64_t wanted = zero ? 0 : position_word(operation, w);

		if (data[w] != data[0] || data[w + 1] != wanted)
			return "mixed";
	}
	return zero ? "zeros" : tag;
}

static void *run(void *argument)
{
	struct operation *operation = argument;
	const char *outcome = "done";
	char tag[9];
	ssize_t r;

	if (operation->write)
		r = pwrite(device, operation->data, operation->length,
			   operation->offset);
	else
		r = pread(device, operation->data, operation->length,
			  operation->offset);
	if (r < 0)
		outcome = strerrorname_np(errno);
	else if ((size_t)r != operation->length)
		outcome = "short";
	else if (!operation->write)
		outcome = content(operation, tag);
	printf("%s %s\n", operation->text, outcome);
	return NULL;
}

static void parse(struct operation *operation, const char *text)
{
	char verb[6];
	void *memory;

	if (sscanf(text, "%5[a-z]:%llu:%llu", verb, &operation->offset,
		   &operation->length) != 3 ||
	    (strcmp(verb, "read") && strcmp(verb, "write")) ||
	    !operation->length || operation->length % SECTOR_BYTES)
		errx(2, "%s: not read|write:OFFSET:LENGTH", text);
	operation->text = text;
	operation->write = !strcmp(verb, "write");
	if (posix_memalign(&memory, 4096, operation->length))
		err(2, "memory");
	operation->data = memory;
	memset(memory, 0x77, operation->length);
	if (operation->write)
		paint(operation);
}

int main(int argc, char **argv)
{
	static struct operation operations[MAX_OPERATIONS];
	int i, nr = argc - 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (nr < 1 || nr > MAX_OPERATIONS)
		errx(2, "usage: parallel-io DEVICE OPERATION...");
	device = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (device < 0)
		err(2, "%s", argv[1]);
	for (i = 0; i < nr; i++)
		parse(&operations[i], argv[i + 2]);
	printf("started\n");
	for (i = 0; i < nr; i++)
		if (pthread_create(&operations[i].thread, NULL, run,
				   &operations[i]))
			errx(2, "thread");
	for (i = 0; i < nr; i++)
		pthread_join(operations[i].thread, NULL);
	return 0;
}
