// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file names of images that are written: when the name exists, and what happens to a
 * former file of that name.
 */
#include "writer-rules.h"

#include <errno.h>

static void there_is_no_image_before_the_end(void **state)
{
	char start[CLUSTER], zeros[CLUSTER] = { 0 };
	struct writer *writer;
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < NR_OF(both); i++) {
		writer = must_create("image", both[i]);
		must_write(writer, 0, data, SIZE);
		assert_false(exists("image"));
		fd = open("image.partial", O_RDONLY);
		assert_int_equal(read(fd, start, sizeof(start)), sizeof(start));
		assert_memory_equal(start, zeros, sizeof(start));
		close(fd);
		must_finish(writer);
		assert_true(exists("image"));
		assert_false(exists("image.partial"));
		unlink("image");
	}
}

static void given_up_means_gone(void **state)
{
	struct writer *writer;
	unsigned int i;

	(void)state;
	writer_abort(NULL);
	for (i = 0; i < NR_OF(both); i++) {
		writer = must_create("image", both[i]);
		must_write(writer, 0, data, SIZE);
		writer_abort(writer);
		assert_false(exists("image"));
		assert_false(exists("image.partial"));
	}
}

static void an_existing_file_is_safe(void **state)
{
	struct writer_options options = plain;
	struct image_error err = { "" };
	struct writer *writer;
	struct stat st;

	(void)state;
	make_file("image", "old", 3);
	assert_false(chmod("image", 0640));
	assert_int_equal(writer_create("image", &options, &writer, &err), -EEXIST);
	assert_non_null(strstr(err.message, "image: exists"));
	options.replace = true;
	writer = must_create("image", &options);
	must_write(writer, 0, data, SIZE);
	assert_true(has_content("image", "old", 3));
	writer_abort(writer);
	assert_true(has_content("image", "old", 3));
	writer = must_create("image", &options);
	assert_true(has_content("image", "old", 3));
	must_finish(writer);
	assert_false(has_content("image", "old", 3));
	assert_false(stat("image", &st));
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_link_is_followed(void **state)
{
	struct writer_options options = plain;
	struct writer *writer;
	struct stat st;

	(void)state;
	options.replace = true;
	assert_false(mkdir("elsewhere", 0700));
	make_file("elsewhere/image", "old", 3);
	assert_false(symlink("elsewhere/image", "link"));
	writer = must_create("link", &options);
	assert_true(exists("elsewhere/image.partial"));
	must_finish(writer);
	assert_false(lstat("link", &st));
	assert_true(S_ISLNK(st.st_mode));
	assert_false(has_content("elsewhere/image", "old", 3));
}

/* A file that is created with the name meanwhile is not lost, nor is the image. */
static void a_name_that_is_taken_meanwhile(void **state)
{
	struct image_error err = { "" };
	struct writer *writer;

	(void)state;
	writer = must_create("image", &plain);
	make_file("image", "new", 3);
	assert_int_equal(writer_finish(writer, &err), -EEXIST);
	assert_non_null(strstr(err.message, "stays as image.partial"));
	assert_true(has_content("image", "new", 3));
	assert_true(exists("image.partial"));
}

static void two_do_not_write_one_image(void **state)
{
	struct writer_options options = plain;
	struct image_error err = { "" };
	struct writer *first, *second;

	(void)state;
	first = must_create("image", &options);
	assert_int_equal(writer_create("image", &options, &second, &err), -EEXIST);
	options.replace = true;
	assert_int_equal(writer_create("image", &options, &second, &err), -EBUSY);
	assert_true(exists("image.partial"));
	must_finish(first);
	first = must_create("image", &options);
	assert_int_equal(writer_create("image", &options, &second, &err), -EBUSY);
	assert_non_null(strstr(err.message, "another process"));
	writer_abort(first);
	assert_true(exists("image"));
}

static bool is_in(const void *name, int fd)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(name, &b) && a.st_ino == b.st_ino;
}

/* It may belong to another user or have another name: content and mode do not change. */
static void what_a_crash_left_makes_way(void **state)
{
	struct writer_options options = plain;
	struct image_error err = { "" };
	char content[SIZE];
	struct writer *writer;
	struct stat st;
	int fd;

	(void)state;
	make_file("image.partial", data, SIZE);
	assert_false(chmod("image.partial", 0777));
	assert_false(link("image.partial", "other"));
	assert_int_equal(writer_create("image", &options, &writer, &err), -EEXIST);
	assert_non_null(strstr(err.message, "image.partial: exists"));
	assert_true(exists("image.partial"));
	options.replace = true;
	options.is_source = is_in;
	options.source = "other";
	assert_int_equal(writer_create("image", &options, &writer, &err), -EINVAL);
	assert_non_null(strstr(err.message, "image.partial: is part of the image"));
	assert_true(exists("image.partial"));
	options.is_source = NULL;
	must_finish(must_create("image", &options));
	assert_false(exists("image.partial"));
	assert_false(stat("image", &st));
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 0111, 0);
	fd = open("other", O_RDONLY);
	assert_int_equal(read(fd, content, SIZE), SIZE);
	assert_memory_equal(content, data, SIZE);
	close(fd);
	unlink("other");
}

static void names_that_cannot_be_written(void **state)
{
	char name[NAME_MAX + 1];
	struct writer *writer;

	(void)state;
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = 0;
	assert_int_equal(writer_create(name, &plain, &writer, NULL), -ENAMETOOLONG);
	assert_int_equal(writer_create("no/folder", &plain, &writer, NULL), -ENOENT);
	assert_int_equal(writer_create(".", &plain, &writer, NULL), -EINVAL);
	assert_int_equal(writer_create("new/", &plain, &writer, NULL), -ENOENT);
	assert_int_equal(writer_create("", &plain, &writer, NULL), -EISDIR);
	assert_int_equal(writer_create("/dev/null", &plain, &writer, NULL), -EINVAL);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(writer_create("fifo", &plain, &writer, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_is_no_image_before_the_end),
		TEST(given_up_means_gone),
		TEST(an_existing_file_is_safe),
		TEST(a_link_is_followed),
		TEST(a_name_that_is_taken_meanwhile),
		TEST(two_do_not_write_one_image),
		TEST(what_a_crash_left_makes_way),
		TEST(names_that_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
