// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests to terminate the server.
 *
 * While the device is usable and not complete, the server ignores them, since I/O would
 * hang without it. (SIGKILL ends it; I/O then waits for the next server.) Before and
 * after that, it obeys.
 */
#include <signal.h>

#include "restore/report.h"
#include "restore/server.h"

static volatile sig_atomic_t is_needed;
static volatile sig_atomic_t is_interrupted;

static void take_terminate(int number)
{
	(void)number;
	if (!is_needed)
		is_interrupted = 1;
	else
		report_from_signal_handler("info: not terminated: the device needs this process, which ends when all is restored\n");
}

void server_catch_signals(void)
{
	struct sigaction action = {
		.sa_handler = take_terminate,
		.sa_flags = SA_RESTART,
	};

	sigaction(SIGTERM, &action, NULL);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

void server_set_needed(bool needed)
{
	is_needed = needed;
	/* A request that came too late to be obeyed is ignored. */
	if (needed)
		is_interrupted = 0;
}

bool server_is_interrupted(void)
{
	return is_interrupted;
}
