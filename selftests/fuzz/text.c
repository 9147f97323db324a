// SPDX-License-Identifier: GPL-2.0-only
/* Lines and words, see text.h. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

void text_begin(struct text *text, const unsigned char *data, size_t size,
		char **copy)
{
	*copy = malloc(size + 1);
	if (!*copy)
		abort();
	memcpy(*copy, data, size);
	(*copy)[size] = '\0';
	*text = (struct text){ .line = *copy, .left = size };
}

/* A blank ends a word, unless there is a backslash before it. */
void text_split(struct text *text, char *line)
{
	char *from = line, *to;

	text->nr_words = 0;
	for (;;) {
		while (isspace((unsigned char)*from))
			from++;
		if (!*from || text->nr_words == TEXT_MAX_WORDS)
			return;
		to = from;
		text->words[text->nr_words++] = to;
		while (*from && !isspace((unsigned char)*from)) {
			if (*from == '\\' && from[1])
				from++;
			*to++ = *from++;
		}
		if (*from)
			from++;
		*to = '\0';
	}
}

bool text_next(struct text *text)
{
	char *end;

	if (!text->left)
		return false;
	end = memchr(text->line, '\n', text->left);
	if (end) {
		*end = '\0';
		text->left -= end + 1 - text->line;
		text_split(text, text->line);
		text->line = end + 1;
	} else {
		text->left = 0;
		text_split(text, text->line);
	}
	return true;
}

void text_refusal(int r, const char *error)
{
	const char *at;

	if (r >= 0 || r < -4095 || !error || !*error)
		abort();
	for (at = error; *at; at++)
		if (!isprint((unsigned char)*at))
			abort();
}
