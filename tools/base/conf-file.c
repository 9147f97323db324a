// SPDX-License-Identifier: GPL-2.0-only
/* Files in /etc/dmlive, see conf-file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf-file.h"

#define LINE_BYTES 4096

static void say(const struct conf_reader *reader, unsigned int line,
		const char *format, ...) __attribute__((format(printf, 3, 4)));

static void say(const struct conf_reader *reader, unsigned int line,
		const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reader->problem(reader->context, line, text);
}

/* Without white space at both ends; the text is cut. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\r\n");
	for (length = strlen(text);
	     length && strchr(" \t\r\n", text[length - 1]); length--)
		text[length - 1] = '\0';
	return text;
}

static void take_line(const struct conf_reader *reader, unsigned int line,
		      char *text, bool *in_section)
{
	char *equals;

	text = trim(text);
	if (!*text || *text == '#' || *text == ';')
		return;
	if (*text == '[') {
		*in_section = !strcmp(text, reader->section);
		if (!*in_section)
			say(reader, line, "there is no section '%.128s', only %s",
			    text, reader->section);
		return;
	}
	equals = strchr(text, '=');
	if (!equals || equals == text) {
		say(reader, line, "must be KEY=VALUE: '%.128s'", text);
		return;
	}
	if (!*in_section)
		say(reader, line, "the section %s must come first",
		    reader->section);
	*equals = '\0';
	reader->take(reader->context, line, trim(text), trim(equals + 1));
}

static bool others_write(const struct stat *st)
{
	return (st->st_uid && st->st_uid != geteuid()) || (st->st_mode & 0002) ||
	       ((st->st_mode & 0020) && st->st_gid);
}

/* Something else, a FIFO for example, could keep udev waiting. */
static FILE *open_file(const char *path, const struct conf_reader *reader)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st = { 0 };
	FILE *file = NULL;

	if (fd >= 0 && !fstat(fd, &st) && !S_ISREG(st.st_mode)) {
		say(reader, 0, "is not a regular file");
	} else if (fd >= 0 && reader->runs_commands && others_write(&st)) {
		say(reader, 0, "may hold commands, and others than root can write it; chown root, chmod go-w");
	} else {
		file = fd >= 0 ? fdopen(fd, "r") : NULL;
		if (!file)
			say(reader, 0, "%s", strerrordesc_np(errno));
	}
	if (!file && fd >= 0)
		close(fd);
	return file;
}

void conf_read(const char *path, const struct conf_reader *reader)
{
	char text[LINE_BYTES];
	FILE *file = open_file(path, reader);
	bool in_section = false;
	unsigned int line = 0;

	if (!file)
		return;
	while (fgets(text, sizeof(text), file)) {
		line++;
		if (!strchr(text, '\n') && !feof(file)) {
			say(reader, line, "the line is too long");
			break;
		}
		take_line(reader, line, text, &in_section);
	}
	if (ferror(file))
		say(reader, 0, "cannot be read");
	fclose(file);
}
