// SPDX-License-Identifier: GPL-2.0-only
/* Words of table and status lines. */
#include <errno.h>
#include <string.h>

#include "base/size.h"
#include "base/words.h"

#define SECTOR_BYTES 512u

int next_word(const char **text, char *word, size_t word_bytes)
{
	size_t length;

	*text += strspn(*text, " ");
	length = strcspn(*text, " ");
	if (!length || length >= word_bytes)
		return -EINVAL;
	memcpy(word, *text, length);
	word[length] = '\0';
	*text += length;
	return 0;
}

int next_number(const char **text, uint64_t *number)
{
	char word[STATUS_WORD_BYTES];

	if (next_word(text, word, sizeof(word)))
		return -EINVAL;
	return number_parse(word, UINT64_MAX, number);
}

int next_fraction(const char **text, uint64_t *part, uint64_t *total)
{
	char word[STATUS_WORD_BYTES];
	char *slash;

	if (next_word(text, word, sizeof(word)))
		return -EINVAL;
	slash = strchr(word, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	if (number_parse(word, UINT64_MAX, part) ||
	    number_parse(slash + 1, UINT64_MAX, total))
		return -EINVAL;
	return *part <= *total ? 0 : -EINVAL;
}

int next_block_size(const char **text, uint64_t *block_bytes)
{
	uint64_t sectors;

	if (next_number(text, &sectors) || !sectors ||
	    sectors > UINT32_MAX / SECTOR_BYTES)
		return -EINVAL;
	*block_bytes = sectors * SECTOR_BYTES;
	return 0;
}

bool has_word(const char *text, const char *word)
{
	const size_t length = strlen(word);
	const char *at = text;

	while ((at = strstr(at, word))) {
		if ((at == text || at[-1] == ' ') &&
		    (!at[length] || at[length] == ' '))
			return true;
		at += length;
	}
	return false;
}

size_t stem_length(const char *text, const char *suffix)
{
	const size_t length = strlen(text), suffix_length = strlen(suffix);

	return length > suffix_length &&
	       !strcmp(text + length - suffix_length, suffix) ?
	       length - suffix_length : 0;
}

int name_index(const char *const *names, size_t nr, const char *name)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(names[i], name))
			return i;
	return -EINVAL;
}

int next_name(const char **text, const char *const *names, size_t nr,
	      unsigned int *index)
{
	char word[STATUS_WORD_BYTES];
	int found;

	if (next_word(text, word, sizeof(word)))
		return -EINVAL;
	found = name_index(names, nr, word);
	if (found < 0)
		return found;
	*index = found;
	return 0;
}
