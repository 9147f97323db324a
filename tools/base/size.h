/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_SIZE_H
#define DMLIVE_SIZE_H

/* Sizes in bytes as people write and read them. Units are powers of 1024. */

#include <stddef.h>
#include <stdint.h>

/* Length that size_format() and duration_format() need at most. */
#define SIZE_TEXT_BYTES 32

/*
 * Parse a decimal number, with a fraction only before a unit, and the unit K, M, G, T
 * or P, in either case, optionally followed by "iB" or "B". "64K", "1.5G".
 * Return: 0, -EINVAL, or -ERANGE when it does not fit.
 */
int size_parse(const char *text, uint64_t *bytes);

/* "512 B", "64.0 KiB", "1.5 GiB". Returns @text. */
const char *size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

/* "7 s", "1:05", "2:01:05". Returns @text. */
const char *duration_format(uint64_t seconds, char text[SIZE_TEXT_BYTES]);

/* Parse a whole decimal number of at most @max. Return: 0 or -EINVAL. */
int number_parse(const char *text, uint64_t max, uint64_t *number);

#endif /* DMLIVE_SIZE_H */
