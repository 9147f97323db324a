/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_REQUIRE_H
#define DMLIVE_REQUIRE_H

/*
 * What a command needs from the system. This is checked first: otherwise the first
 * thing that fails for lack of it would be blamed.
 */

enum {
	REQUIRE_DM		= 1 << 0,	/* the right to use it too */
	REQUIRE_ALLOCTRACK	= 1 << 1,
	REQUIRE_CBW		= 1 << 2,
	REQUIRE_LOOP		= 1 << 3,
};

/*
 * @what: a set of the above; modules are loaded if that is possible.
 * Return: EXIT_OK, or EXIT_REFUSED after a message.
 */
int require(const char *command, unsigned int what);

#endif /* DMLIVE_REQUIRE_H */
