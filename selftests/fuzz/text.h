/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FUZZ_TEXT_H
#define FUZZ_TEXT_H

/*
 * Inputs of the fuzzers of table lines and messages: a byte with options, a line
 * with the table's parameters, and a line for each message.
 */

#include <stdbool.h>
#include <stddef.h>

#define TEXT_MAX_WORDS	64

struct text {
	char *line;		/* the current line, terminated */
	size_t left;		/* bytes after it */
	char *words[TEXT_MAX_WORDS];
	unsigned int nr_words;
};

/** text_next - the next line and its words, split as by device mapper */
bool text_next(struct text *text);

/** text_split - split @line in place */
void text_split(struct text *text, char *line);

/** text_refusal - a refusal must be an errno; that of a table must have a message */
void text_refusal(int r, const char *error);

/** text_begin - make @copy, which text_end() frees */
void text_begin(struct text *text, const unsigned char *data, size_t size,
		char **copy);

#endif /* FUZZ_TEXT_H */
