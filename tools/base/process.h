/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_PROCESS_H
#define DMLIVE_PROCESS_H

/* What a process does to itself because it serves a disk. */

#include <signal.h>
#include <stdbool.h>

#include "base/time.h"

/*
 * Keep all memory, present and future, in RAM, until the process ends: swapping or paging
 * in could need the very device that this process serves; and keys must not get into
 * swap space. A process that was forked does not inherit it.
 */
void process_lock_memory(void);

/*
 * Call before any thread is made: locked memory, few malloc arenas, no reclaim
 * through devices that this process serves, spared by the OOM killer.
 */
void process_become_server(void);

/* Call first in main(): process_survive_shutdown() changes the first argument. */
void process_take_arguments(char **argv);

/*
 * At the end of a shutdown, systemd kills all processes but those whose command line
 * begins with '@'. File systems on the device have yet to be unmounted then.
 */
void process_survive_shutdown(void);

/* How a process was before process_become_independent(). */
struct process_state {
	bool was_independent;
	bool terminable;
	sigset_t signals;
	struct sigaction actions[3];
};

/*
 * For the time that a device may be suspended: this process must not need it, whatever
 * lies on it: the root file system, swap space, the file that messages go to. Memory is
 * locked and not freed through devices, messages are held (log_hold()), and signals
 * blocked. @terminable: SIGINT, SIGTERM and SIGHUP are not blocked: they end system
 * calls that wait, and the process, if they would, when it is ordinary again. Nested
 * calls change nothing, nor do calls in a server, which is always independent. For one
 * thread.
 */
void process_become_independent(struct process_state *state, bool terminable);
void process_become_ordinary(const struct process_state *state);

/* Was a signal noted that would have ended this process? */
bool process_is_interrupted(void);

/* Standard input, output and error to /dev/null; folder /. */
void process_leave_terminal(void);

#endif /* DMLIVE_PROCESS_H */
