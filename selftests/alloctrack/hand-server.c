// SPDX-License-Identifier: GPL-2.0-only
/*
 * hand-server: a user server driven by hand. It reads one command per line from
 * standard input, and answers each with one line on standard output: the name of
 * the error or "ok", then the results.
 *
 *	hand-server FILE	(FILE: the data for "fill")
 *
 *	open			open /dev/dm-alloctrack; close it first if it is open
 *	attach MAJOR:MINOR
 *	poll MS EVENT...	wait up to MS for any of in, pri, hup or err, or for
 *				any event without EVENT; prints all that are set
 *	wait			WAIT without blocking; prints OFFSET:LENGTH...
 *	sleep			WAIT, blocking
 *	fill OFFSET LENGTH [BUFFER_OFFSET]	prints the used bytes, as do:
 *	stream-fill OFFSET LENGTH
 *	zero OFFSET LENGTH
 *	fail OFFSET LENGTH ERRNO
 *	next OFFSET		the next unallocated extent
 *	info			faults=N allocated=BLOCKS write_errors=N
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/server/server.h"

#define MAX_RANGES	300
#define BUFFER_BYTES	(DM_ALLOCTRACK_MAX_FILL_BYTES + 2 * 4096)

typedef unsigned long long ull;

static int control = -1;
static int file;
static char *buffer;

static const struct event {
	const char *name;
	short bit;
} events[] = {
	{ "in", POLLIN }, { "pri", POLLPRI }, { "hup", POLLHUP }, { "err", POLLERR },
};

#define NR_EVENTS (sizeof(events) / sizeof(events[0]))

static void do_open(void)
{
	if (control >= 0)
		close(control);
	control = server_open(0);
	printf("%s\n", server_error_name(control < 0 ? errno : 0));
}

static void do_attach(const char *arguments)
{
	int error = server_attach(control, server_parse_device(arguments));

	printf("%s\n", server_error_name(error));
}

static void do_poll(const char *arguments)
{
	short wanted = 0, reported;

	for (size_t i = 0; i < NR_EVENTS; i++)
		if (strstr(arguments, events[i].name))
			wanted |= events[i].bit;
	reported = server_poll(control, wanted ? wanted : POLLIN | POLLPRI,
			       atoi(arguments));
	printf("ok");
	for (size_t i = 0; i < NR_EVENTS; i++)
		if (reported & events[i].bit)
			printf(" %s", events[i].name);
	printf("\n");
}

static void do_wait(int flags)
{
	struct dm_alloctrack_range ranges[MAX_RANGES];
	uint32_t nr, i;
	int error;

	fcntl(control, F_SETFL, flags);
	error = server_wait(control, 0, ranges, MAX_RANGES, &nr);
	printf("%s", server_error_name(error));
	fcntl(control, F_SETFL, 0);
	for (i = 0; !error && i < nr; i++)
		printf(" %llu:%llu", (ull)ranges[i].offset, (ull)ranges[i].length);
	printf("\n");
}

static void parse_range(const char *arguments, ull numbers[3])
{
	numbers[2] = 0;
	if (sscanf(arguments, "%llu %llu %llu", &numbers[0], &numbers[1],
		   &numbers[2]) < 2)
		errx(2, "%s: not OFFSET LENGTH", arguments);
}

static void do_fill(const char *arguments, uint32_t flags)
{
	uint64_t used_bytes;
	ull numbers[3];
	int error;

	parse_range(arguments, numbers);
	if (numbers[1] + numbers[2] <= BUFFER_BYTES) {
		memset(buffer, 0, numbers[1] + numbers[2]);
		/* An invalid offset is left for the kernel to refuse. */
		if (pread(file, buffer + numbers[2], numbers[1], numbers[0]) < 0 &&
		    errno != EINVAL)
			err(2, "reading the file");
	}
	error = server_fill(control, flags, numbers[0], numbers[1],
			    buffer + numbers[2], &used_bytes);
	printf("%s %llu\n", server_error_name(error), (ull)used_bytes);
}

static void do_zero(const char *arguments)
{
	uint64_t used_bytes;
	ull numbers[3];
	int error;

	parse_range(arguments, numbers);
	error = server_zero(control, 0, numbers[0], numbers[1], &used_bytes);
	printf("%s %llu\n", server_error_name(error), (ull)used_bytes);
}

static void do_fail(const char *arguments)
{
	ull numbers[3];
	int error;

	parse_range(arguments, numbers);
	error = server_fail(control, 0, numbers[0], numbers[1], numbers[2]);
	printf("%s\n", server_error_name(error));
}

static void do_next(const char *arguments)
{
	struct dm_alloctrack_next next;
	int error = server_next(control, DM_ALLOCTRACK_NEXT_UNALLOCATED,
				strtoull(arguments, NULL, 0), &next);

	printf("%s %llu:%llu\n", server_error_name(error), (ull)next.offset,
	       (ull)next.length);
}

static void do_info(void)
{
	struct dm_alloctrack_info info;
	int error = server_info(control, &info);

	printf("%s faults=%llu allocated=%llu write_errors=%llu\n",
	       server_error_name(error), (ull)info.fault_count,
	       (ull)info.allocated_blocks, (ull)info.write_errors);
}

static void run(const char *verb, const char *arguments)
{
	if (!strcmp(verb, "open"))
		do_open();
	else if (!strcmp(verb, "attach"))
		do_attach(arguments);
	else if (!strcmp(verb, "poll"))
		do_poll(arguments);
	else if (!strcmp(verb, "wait"))
		do_wait(O_NONBLOCK);
	else if (!strcmp(verb, "sleep"))
		do_wait(0);
	else if (!strcmp(verb, "fill"))
		do_fill(arguments, 0);
	else if (!strcmp(verb, "stream-fill"))
		do_fill(arguments, DM_ALLOCTRACK_STREAM);
	else if (!strcmp(verb, "zero"))
		do_zero(arguments);
	else if (!strcmp(verb, "fail"))
		do_fail(arguments);
	else if (!strcmp(verb, "next"))
		do_next(arguments);
	else if (!strcmp(verb, "info"))
		do_info();
	else
		errx(2, "%s: no such command", verb);
}

int main(int argc, char **argv)
{
	char line[256], verb[32];
	void *memory;
	int length;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2)
		errx(2, "usage: hand-server FILE");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(2, "%s", argv[1]);
	if (posix_memalign(&memory, 4096, BUFFER_BYTES))
		err(2, "memory");
	buffer = memory;
	while (fgets(line, sizeof(line), stdin)) {
		length = 0;
		if (sscanf(line, "%31s%n", verb, &length) == 1)
			run(verb, line + length);
	}
	return 0;
}
