/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_ARGS_H
#define REPLAY_ARGS_H

/* Arguments of the form name=value, for the programs of crash tests. */
#include <err.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The value goes to one of @text, @number and @range (FIRST:LENGTH). */
struct arg {
	const char *name;
	const char **text;
	uint64_t *number;
	uint64_t (*range)[2];
};

static inline void args_set(const struct arg *arg, const char *value)
{
	char *end = (char *)value;

	if (arg->text) {
		*arg->text = value;
		return;
	}
	if (arg->number) {
		*arg->number = strtoull(value, &end, 0);
	} else {
		(*arg->range)[0] = strtoull(value, &end, 0);
		if (*end == ':')
			(*arg->range)[1] = strtoull(end + 1, &end, 0);
	}
	if (*end || end == value)
		errx(2, "%s=%s: not a number", arg->name, value);
}

static inline void args_parse(const struct arg *args, size_t nr, char **argv)
{
	while (*++argv) {
		size_t length = strcspn(*argv, "=");
		size_t i;

		for (i = 0; i < nr; i++)
			if (strlen(args[i].name) == length &&
			    !strncmp(args[i].name, *argv, length))
				break;
		if (i == nr || !(*argv)[length])
			errx(2, "%s: want one of the arguments in the program's first comment",
			     *argv);
		args_set(&args[i], *argv + length + 1);
	}
}

#endif /* REPLAY_ARGS_H */
