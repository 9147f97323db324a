// SPDX-License-Identifier: GPL-2.0-only
/* Command lines: parsing the values of options, and error messages about them. */
#include "base/exit.h"
#include "base/log.h"
#include "base/options.h"
#include "base/size.h"

bool option_size(const char *option, const char *text, uint64_t *bytes)
{
	if (!size_parse(text, bytes))
		return true;
	error("%s %s: not a size; want a number of bytes, or one with K, M, G or T (64K, 1.5G)",
	      option, text);
	return false;
}

bool option_number(const char *option, const char *text, uint64_t max,
		   uint64_t *number)
{
	if (!number_parse(text, max, number))
		return true;
	error("%s %s: not a number from 0 to %llu", option, text,
	      (unsigned long long)max);
	return false;
}

int option_error(const char *command, int found, char **argv)
{
	error("%s: %s: %s; see dmlive %s --help", command, argv[optind - 1],
	      found == ':' ? "needs a value" : "unknown option", command);
	return EXIT_USAGE;
}

int argument_error(const char *command, const char *wanted)
{
	error("%s: needs %s; see dmlive %s --help", command, wanted, command);
	return EXIT_USAGE;
}
