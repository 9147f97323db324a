/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALLOCTRACK_IOCTL_TEST_H
#define ALLOCTRACK_IOCTL_TEST_H

/*
 * For the programs that test /dev/dm-alloctrack: checks in groups, with one line
 * "ok - NAME" or "not ok - NAME" per group, after a comment for each failure; and
 * memory that ends at an unmapped page.
 *
 * Must also work in a 32-bit program.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../lib/server/server.h"

#define PAGE	4096u
#define NR_OF(array)	(sizeof(array) / sizeof((array)[0]))

/* A pointer into the kernel's half of the address space. */
#define KERNEL_POINTER	((void *)(uintptr_t)0xffff888000001000ULL)

static unsigned int group_failures;
static unsigned int all_failures;

/* expect - print a comment and count a failure unless @good. Returns @good. */
static inline __attribute__((format(printf, 2, 3)))
bool expect(bool good, const char *format, ...)
{
	va_list arguments;

	if (good)
		return true;
	group_failures++;
	va_start(arguments, format);
	printf("# ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	return false;
}

/* end_group - print the result of all checks since the last group. */
static inline void end_group(const char *name)
{
	printf("%sok - %s\n", group_failures ? "not " : "", name);
	fflush(stdout);
	all_failures += group_failures;
	group_failures = 0;
}

/* expect_error - the ioctl must return this errno; 0: success. */
#define expect_error(fd, cmd, argument, wanted, ...)			\
	is_error(server_call(fd, cmd, argument), wanted, __VA_ARGS__)

static inline __attribute__((format(printf, 3, 4)))
bool is_error(int got, int wanted, const char *format, ...)
{
	char what[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return expect(got == wanted, "%s: got %s, wanted %s", what,
		      server_error_name(got), server_error_name(wanted));
}

static inline struct dm_alloctrack_info info_of(int fd)
{
	struct dm_alloctrack_info info;
	int error = server_info(fd, &info);

	if (error)
		errx(2, "INFO: %s", server_error_name(error));
	return info;
}

static inline void *map_pages(unsigned int nr, int protection)
{
	void *memory = mmap(NULL, (size_t)nr * PAGE, protection,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "mmap");
	return memory;
}

/* @nr usable pages, followed by a page without access. */
static inline char *map_guarded(unsigned int nr)
{
	char *memory = map_pages(nr + 1, PROT_READ | PROT_WRITE);

	if (mprotect(memory + nr * PAGE, PAGE, PROT_NONE))
		err(2, "mprotect");
	return memory;
}

#endif /* ALLOCTRACK_IOCTL_TEST_H */
