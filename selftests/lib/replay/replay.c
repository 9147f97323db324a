// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chance and reports of the programs that go through a log, see replay.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "replay.h"

#define MAX_VIOLATIONS	10

uint64_t random_state = 88172645463325252ULL;
char state_name[160];
unsigned int nr_violations;

uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

void violation(const char *text)
{
	printf("violation: %s: %s\n", state_name, text);
	if (++nr_violations < MAX_VIOLATIONS)
		return;
	printf("violation: and more\n");
	exit(1);
}
