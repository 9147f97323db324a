// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent of a guest, see agent.h.
 *
 * Whether virsh has frozen the guest is not known when it is killed: libvirt may go on. So
 * from the moment that it is started, the guest counts as frozen, and thawing a guest that
 * is not frozen does no harm, unless somebody else has frozen it, which is asked before.
 *
 * libvirt lets one request to an agent wait for the other; those of different connections
 * may be taken in another order, though, and an agent may take long to freeze. So after a
 * freeze that did not end, and after a thaw that failed, a process of its own thaws again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/time.h"
#include "vm/agent.h"
#include "vm/virsh.h"

#define ASK_S "5"
#define ASK_LIMIT_MS 8000
#define MAX_FREEZE_MS 8000
#define MAX_DOUBTFUL_THAW_MS 5000
#define THAW_MS 10000
#define THAW_PAUSE_MS 1000
#define REPEAT_S 600

enum state {
	STATE_THAWED,
	STATE_FREEZING,
	STATE_FROZEN,
	STATE_THAWING,		/* was frozen */
	STATE_THAWING_DOUBTFUL,	/* was being frozen */
	STATE_HANDED_OVER,	/* a process of its own thaws */
};

struct agent {
	const char *domain;
	const char *name;
	const char *uri;
	bool answers;
	bool froze;
	unsigned int doubtful_thaw_ms;
	_Atomic int *state;	/* shared */
};

static bool is_thawed(const char *answer)
{
	struct json_object *object = json_tokener_parse(answer);
	const char *status = json_object_is_type(object, json_type_object) ?
			     json_get_string(object, "return") : NULL;
	bool thawed = status && !strcmp(status, "thawed");

	json_object_put(object);
	return thawed;
}

/* It answers this even if the guest is frozen. */
static void ask_status(struct agent *agent)
{
	static const char request[] =
		"{\"execute\":\"guest-fsfreeze-status\"}";
	const char *const arguments[] = { "qemu-agent-command", "--timeout",
					  ASK_S, agent->domain, request, NULL };
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = ASK_LIMIT_MS,
	};
	char reason[VIRSH_REASON_BYTES], *answer;

	if (virsh_run(&virsh, arguments, &answer, reason)) {
		warning("%s: its file systems are not frozen, and the backup is as after a power cut, because the guest agent does not answer: %s",
			agent->name, reason);
		return;
	}
	agent->answers = is_thawed(answer);
	free(answer);
	if (!agent->answers)
		warning("%s: somebody else has frozen its file systems: they are neither frozen nor thawed, and the backup is as after a power cut; if it is not meant to be frozen: virsh domfsthaw %s",
			agent->name, agent->domain);
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
	agent->doubtful_thaw_ms = MAX_DOUBTFUL_THAW_MS;
	if (ask)
		ask_status(agent);
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

static unsigned int at_most(unsigned int ms, unsigned int limit_ms)
{
	return ms < limit_ms ? ms : limit_ms;
}

/* Freezing has half of the time for the point in time, a thaw in doubt a quarter. */
static unsigned int freeze_ms(struct agent *agent, unsigned int limit_s)
{
	if (!limit_s || limit_s > MAX_FREEZE_MS / 250)
		return MAX_FREEZE_MS;
	agent->doubtful_thaw_ms = at_most(limit_s * 250, MAX_DOUBTFUL_THAW_MS);
	return at_most(limit_s * 500, MAX_FREEZE_MS);
}

/*
 * Run domfsfreeze or domfsthaw, as @arguments say. @nr: of how many file systems; @verb:
 * as virsh says it.
 */
static int run_counted(const struct virsh *virsh, const char *const *arguments,
		       const char *verb, int *nr, char *reason)
{
	const size_t length = strlen(verb);
	const char *found;
	char *text;
	int r = virsh_run(virsh, arguments, &text, reason);

	*nr = 0;
	if (r)
		return r;
	found = strstr(text, verb);
	if (found)
		*nr = atoi(found + length);
	free(text);
	return 0;
}

/* As of virsh_run(). */
static int freeze_once(struct agent *agent, const struct virsh *virsh, int *nr,
		       char *reason)
{
	const char *const arguments[] = { "domfsfreeze", agent->domain, NULL };

	return run_counted(virsh, arguments, "Froze ", nr, reason);
}

int agent_freeze(struct agent *agent, unsigned int limit_s,
		 bool (*may_go_on)(void *argument), void *argument)
{
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = freeze_ms(agent, limit_s),
		.talks = true,
		.may_go_on = may_go_on,
		.argument = argument,
	};
	int state = STATE_FREEZING, nr, r;
	char reason[VIRSH_REASON_BYTES];

	agent->froze = false;
	if (!agent->answers)
		return 0;
	atomic_store(agent->state, STATE_FREEZING);
	r = freeze_once(agent, &virsh, &nr, reason);
	if (r == -ECANCELED)
		return r;
	if (r) {
		warning("%s: its file systems could not be frozen, and the backup is as after a power cut: %s",
			agent->name, reason);
		agent_thaw(agent, false);
		return may_go_on(argument) ? 0 : -ECANCELED;
	}
	if (!atomic_compare_exchange_strong(agent->state, &state, STATE_FROZEN))
		return -ECANCELED;
	agent->froze = nr > 0;
	if (!agent->froze)
		warning("%s: the guest agent froze no file system, and the backup is as after a power cut",
			agent->name);
	return 0;
}

static int thaw_once(const struct agent *agent, unsigned int limit_ms, int *nr,
		     char *reason)
{
	const char *const arguments[] = { "domfsthaw", agent->domain, NULL };
	const struct virsh virsh = {
		.uri = agent->uri,
		.limit_ms = limit_ms,
		.talks = true,
		.outlives = true,
	};

	return run_counted(&virsh, arguments, "Thawed ", nr, reason);
}

/* Which state is replaced? STATE_THAWED: nothing is to be done, or another does it. */
static int take_over(struct agent *agent, bool abandoned)
{
	int from = atomic_load(agent->state), to;

	do {
		if (from == STATE_THAWED || from == STATE_HANDED_OVER ||
		    (from >= STATE_THAWING && !abandoned))
			return STATE_THAWED;
		to = from == STATE_FREEZING ? STATE_THAWING_DOUBTFUL :
		     from == STATE_FROZEN ? STATE_THAWING : from;
	} while (!atomic_compare_exchange_weak(agent->state, &from, to));
	return to;
}

static void repeat(const struct agent *agent)
{
	const uint64_t end_ns = monotonic_ns() + REPEAT_S * 1000 * NS_PER_MS;
	char reason[VIRSH_REASON_BYTES];
	int nr, r;

	do {
		poll(NULL, 0, THAW_PAUSE_MS);
		r = thaw_once(agent, THAW_MS, &nr, reason);
	} while (r && monotonic_ns() < end_ns);
	if (r)
		syslog(LOG_DAEMON | LOG_ERR,
		       "%s: its file systems may still be frozen: %s; thaw them: virsh domfsthaw %s",
		       agent->name, reason, agent->domain);
}

/*
 * Nobody waits for the process that thaws, and it keeps nothing open: neither locks, nor
 * the output that somebody may read to its end, nor the socket of the guard.
 */
static void hand_over(struct agent *agent)
{
	pid_t pid = fork();
	sigset_t all;

	if (!pid) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		setsid();
		if (fork() > 0)
			_exit(0);
		close_range(0, ~0u, 0);
		process_leave_terminal();
		repeat(agent);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		repeat(agent);
	atomic_store(agent->state, STATE_HANDED_OVER);
}

void agent_thaw(struct agent *agent, bool abandoned)
{
	int state = take_over(agent, abandoned), nr, r;
	char reason[VIRSH_REASON_BYTES];

	if (state == STATE_THAWED)
		return;
	r = thaw_once(agent, state == STATE_THAWING ? THAW_MS :
		      agent->doubtful_thaw_ms, &nr, reason);
	if (r)
		error("%s: its file systems may still be frozen: %s; thawing them is tried for %u more minutes; to do it yourself: virsh domfsthaw %s",
		      agent->name, reason, REPEAT_S / 60, agent->domain);
	if (agent->froze && (r || nr <= 0))
		warning("%s: its file systems were perhaps thawed too early: the backup is as after a power cut",
			agent->name);
	agent->froze = agent->froze && !r && nr > 0;
	if (r || state == STATE_THAWING_DOUBTFUL)
		hand_over(agent);
	else
		atomic_store(agent->state, STATE_THAWED);
}
