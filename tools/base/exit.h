/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_EXIT_H
#define DMLIVE_EXIT_H

/* The exit statuses of the command, as documented in dmlive(8). */
enum exit_status {
	EXIT_OK = 0,
	EXIT_ERROR = 1,		/* something failed; the message says what */
	EXIT_USAGE = 2,		/* the command line is wrong */
	EXIT_REFUSED = 3,	/* a check of the target or the state said no */
	EXIT_INCOMPLETE = 4,	/* the job ended, but not all data are there */
	EXIT_DETACHED = 5,	/* interrupted; the restore goes on behind */
};

#endif /* DMLIVE_EXIT_H */
