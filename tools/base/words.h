/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_WORDS_H
#define DMLIVE_WORDS_H

/*
 * Table and status lines, word by word. Each function next_...() skips what it has read,
 * and returns 0 or -EINVAL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest word, with its terminating zero. */
#define STATUS_WORD_BYTES 256

/* Copy the next word. */
int next_word(const char **text, char *word, size_t word_bytes);

int next_number(const char **text, uint64_t *number);

/* "<part>/<total>", in which the part is not larger. */
int next_fraction(const char **text, uint64_t *part, uint64_t *total);

/* Given in sectors, and not 0. */
int next_block_size(const char **text, uint64_t *block_bytes);

/* Is @word among the words of @text? */
bool has_word(const char *text, const char *word);

/* The length of what is before @suffix; 0: @text does not end with it, or is nothing else. */
size_t stem_length(const char *text, const char *suffix);

/* The index of @name, or -EINVAL. */
int name_index(const char *const *names, size_t nr, const char *name);

/* The next word is one of @names. */
int next_name(const char **text, const char *const *names, size_t nr,
	      unsigned int *index);

#endif /* DMLIVE_WORDS_H */
