// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent of a guest, see agent.h.
 *
 * Whether virsh has frozen the guest is not known when it is killed: libvirt may go on. So
 * from the moment that it is started, the guest counts as frozen, and thawing a guest that
 * is not frozen does no harm. libvirt lets one request to an agent wait for the other;
 * those of different connections may be taken in another order, though, so after a freeze
 * that did not end the guest is thawed twice.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/log.h"
#include "vm/agent.h"
#include "vm/virsh.h"

#define PING_S "5"
#define PING_LIMIT_MS 8000
#define MAX_FREEZE_MS 10000
#define THAW_MS 10000
#define THAW_TRIES 3
#define THAW_PAUSE_MS 1000

enum state {
	STATE_THAWED,
	STATE_FREEZING,
	STATE_FROZEN,
	STATE_THAWING,		/* was frozen */
	STATE_THAWING_DOUBTFUL,	/* was being frozen */
};

struct agent {
	const char *domain;
	const char *name;
	const char *uri;
	bool answers;
	bool froze;
	_Atomic int *state;	/* shared */
};

static void ping(struct agent *agent)
{
	static const char request[] = "{\"execute\":\"guest-ping\"}";
	const char *const arguments[] = { "qemu-agent-command", "--timeout",
					  PING_S, agent->domain, request, NULL };
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = PING_LIMIT_MS,
	};
	char reason[VIRSH_REASON_BYTES];

	agent->answers = !virsh_run(&virsh, arguments, NULL, reason);
	if (!agent->answers)
		warning("%s: its file systems are not frozen, and the backup is as after a power cut, because the guest agent does not answer: %s",
			agent->name, reason);
}

struct agent *agent_open(const char *domain, const char *name, const char *uri,
			 bool ask)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	void *shared = mmap(NULL, sizeof(*agent->state), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (!agent || shared == MAP_FAILED) {
		error("out of memory");
		if (shared != MAP_FAILED)
			munmap(shared, sizeof(*agent->state));
		free(agent);
		return NULL;
	}
	agent->domain = domain;
	agent->name = name;
	agent->uri = uri;
	agent->state = shared;
	if (ask)
		ping(agent);
	return agent;
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	munmap((void *)agent->state, sizeof(*agent->state));
	free(agent);
}

bool agent_froze(const struct agent *agent)
{
	return agent->froze;
}

/* Half of the time for the point in time is for the rest. */
static unsigned int freeze_ms(unsigned int limit_s)
{
	return limit_s && limit_s < 2 * MAX_FREEZE_MS / 1000 ? limit_s * 500 :
							       MAX_FREEZE_MS;
}

int agent_freeze(struct agent *agent, unsigned int limit_s,
		 bool (*may_go_on)(void *argument), void *argument)
{
	const char *const arguments[] = { "domfsfreeze", agent->domain, NULL };
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = freeze_ms(limit_s),
		.may_go_on = may_go_on,
		.argument = argument,
	};
	int state = STATE_FREEZING, r;
	char reason[VIRSH_REASON_BYTES];

	agent->froze = false;
	if (!agent->answers)
		return 0;
	atomic_store(agent->state, STATE_FREEZING);
	r = virsh_run(&virsh, arguments, NULL, reason);
	if (r == -ECANCELED)
		return r;
	if (!r)
		agent->froze = atomic_compare_exchange_strong(agent->state,
							      &state,
							      STATE_FROZEN);
	if (!r)
		return agent->froze ? 0 : -ECANCELED;
	warning("%s: its file systems could not be frozen, and the backup is as after a power cut: %s",
		agent->name, reason);
	agent_thaw(agent, false);
	return 0;
}

static int thaw_once(const struct agent *agent, char *reason)
{
	const char *const arguments[] = { "domfsthaw", agent->domain, NULL };
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = THAW_MS,
		.outlives = true,
	};

	return virsh_run(&virsh, arguments, NULL, reason);
}

/* Which state is replaced? STATE_THAWED: nothing is to be done, or another does it. */
static int take_over(struct agent *agent, bool abandoned)
{
	int from = atomic_load(agent->state), to;

	do {
		if (from == STATE_THAWED ||
		    (from >= STATE_THAWING && !abandoned))
			return STATE_THAWED;
		to = from == STATE_FREEZING ? STATE_THAWING_DOUBTFUL :
		     from == STATE_FROZEN ? STATE_THAWING : from;
	} while (!atomic_compare_exchange_weak(agent->state, &from, to));
	return to;
}

void agent_thaw(struct agent *agent, bool abandoned)
{
	int state = take_over(agent, abandoned), tries, r;
	char reason[VIRSH_REASON_BYTES];

	if (state == STATE_THAWED)
		return;
	for (tries = 0; tries < THAW_TRIES; tries++) {
		if (tries)
			poll(NULL, 0, THAW_PAUSE_MS);
		r = thaw_once(agent, reason);
		if (!r && (state == STATE_THAWING || tries))
			break;
	}
	if (r)
		error("%s: its file systems may still be frozen: %s; thaw them: virsh domfsthaw %s",
		      agent->name, reason, agent->name);
	atomic_store(agent->state, STATE_THAWED);
}
