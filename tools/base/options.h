/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_OPTIONS_H
#define DMLIVE_OPTIONS_H

/* Command lines: parsing the values of options, and error messages about them. */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* What getopt_long() returns for --help, in all commands. */
#define OPTION_HELP	'h'

/*
 * Parse the values of options. Each prints what is wrong and returns
 * false.
 */
bool option_size(const char *option, const char *text, uint64_t *bytes);
bool option_number(const char *option, const char *text, uint64_t max,
		   uint64_t *number);

/* getopt_long() said '?' or ':': says what is wrong. Returns EXIT_USAGE. */
int option_error(const char *command, int found, char **argv);

/* The number of other arguments is wrong. Returns EXIT_USAGE. */
int argument_error(const char *command, const char *wanted);

#endif /* DMLIVE_OPTIONS_H */
