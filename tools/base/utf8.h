/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_UTF8_H
#define DMLIVE_UTF8_H

#include <stddef.h>

/* How many bytes the character has that @text begins with; 0: it is not UTF-8. */
size_t utf8_character_bytes(const char *text);

#endif /* DMLIVE_UTF8_H */
