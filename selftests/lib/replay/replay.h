/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_H
#define REPLAY_H

/* What programs that go through a log share: chance, and what they report. */
#include <stdint.h>

/* What random_below() goes on from: any number but 0. */
extern uint64_t random_state;

/* 0 to @limit - 1, by xorshift: the same in each run of the same seed. */
uint64_t random_below(uint64_t limit);

/* In which state violations are reported. */
extern char state_name[160];
extern unsigned int nr_violations;

/* Report that a promise is broken; does not return from the tenth. */
void violation(const char *text);

#endif
