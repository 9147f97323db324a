/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CONF_FILE_H
#define DMLIVE_CONF_FILE_H

/*
 * Files in /etc/dmlive: one section, a line KEY=VALUE for each setting. Empty lines, and
 * those that begin with '#' or ';', say nothing.
 */

#include <stdbool.h>

/*
 * @section: with its brackets
 * @runs_commands: refuse a file that somebody else than root and the caller can write
 * @take: a setting, without white space around key and value
 * @problem: what is wrong; line 0: with the whole file. Lines behind it are read, too
 */
struct conf_reader {
	const char *section;
	bool runs_commands;
	void (*take)(void *context, unsigned int line, const char *key,
		     const char *value);
	void (*problem)(void *context, unsigned int line, const char *text);
	void *context;
};

void conf_read(const char *path, const struct conf_reader *reader);

#endif /* DMLIVE_CONF_FILE_H */
