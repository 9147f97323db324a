/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef WRITER_TEST_H
#define WRITER_TEST_H

/* For the tests of the image writer: a folder, and the state of files in it. */

#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qcow2/image.h"
#include "qcow2/writer.h"

/* Make it the current folder; images have plain names in it. */
static char test_folder[PATH_MAX];

static inline int enter_folder(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(test_folder, sizeof(test_folder), "%s/writer-test.XXXXXX",
		 tmp ? tmp : "/tmp");
	return !mkdtemp(test_folder) || chdir(test_folder);
}

static inline int leave_folder(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", test_folder);
	return chdir("/") || system(command);
}

static inline bool exists(const char *name)
{
	struct stat st;

	return !lstat(name, &st);
}

static inline void make_file(const char *name, const void *content,
			     size_t length)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, length), length);
	close(fd);
}

static inline bool has_content(const char *name, const void *content,
			       size_t length)
{
	char buffer[4096];
	int fd = open(name, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, buffer, sizeof(buffer));
	close(fd);
	return got == (ssize_t)length && !memcmp(buffer, content, length);
}

static inline struct writer *must_create(const char *name,
					 const struct writer_options *options)
{
	struct image_error err = { "" };
	struct writer *writer;

	if (writer_create(name, options, &writer, &err))
		fail_msg("%s", err.message);
	return writer;
}

static inline void must_write(struct writer *writer, uint64_t offset,
			      const void *buffer, size_t length)
{
	struct image_error err = { "" };

	if (writer_write(writer, offset, buffer, length, &err))
		fail_msg("%s", err.message);
}

static inline void must_finish(struct writer *writer)
{
	struct image_error err = { "" };

	if (writer_finish(writer, &err))
		fail_msg("%s", err.message);
}

#endif /* WRITER_TEST_H */
