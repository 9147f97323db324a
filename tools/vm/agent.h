/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_AGENT_H
#define DMLIVE_AGENT_H

/*
 * Freezing the file systems inside a guest by its agent. Whatever becomes of this
 * process, they are thawed: what is known of them is in memory that is shared with a
 * guard.
 */

#include <stdbool.h>

struct agent;

/*
 * Does the agent answer, and is the guest not frozen? If not, nothing will be frozen, and the
 * reason is printed. NULL after
 * a message: memory is short.
 *
 * @domain, @uri: as for virsh; @name: of the domain, for messages. All outlive the agent.
 * @ask: if not, nothing will be frozen, and nothing is printed.
 */
struct agent *agent_open(const char *domain, const char *name, const char *uri,
			 bool ask);
void agent_close(struct agent *agent);

/* As of struct backup_guest. */
int agent_freeze(struct agent *agent, unsigned int limit_s,
		 bool (*may_go_on)(void *argument), void *argument);
void agent_thaw(struct agent *agent, bool abandoned);

/* Were some of them frozen at the last point in time, until agent_thaw()? */
bool agent_froze(const struct agent *agent);

#endif /* DMLIVE_AGENT_H */
