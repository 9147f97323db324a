/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_VIRSH_H
#define DMLIVE_VIRSH_H

/*
 * libvirt, through its program virsh: in the locale C, without a terminal, and never for
 * longer than a time limit, since libvirt waits for a guest agent that hangs.
 */

#include <stdbool.h>
#include <stddef.h>

#define VIRSH_REASON_BYTES 512

/* A domain's definition is smaller than this. */
#define VIRSH_MAX_OUTPUT_BYTES (16u << 20)

/*
 * @uri: as for virsh --connect; NULL: its default
 * @limit_ms: after which it is killed
 * @talks: it prints what it has done, also where that is all that it prints
 * @outlives: it completes even if this process is killed; else it is killed then
 * @may_go_on: asked meanwhile; if it says no, virsh is killed; may be NULL
 */
struct virsh {
	const char *uri;
	unsigned int limit_ms;
	bool talks;
	bool outlives;
	bool (*may_go_on)(void *argument);
	void *argument;
};

/*
 * Run virsh with @arguments, which end with NULL. @output: what it prints, to be freed;
 * NULL: that is dropped. @reason: why it failed, as one line. 0, or a negative errno,
 * without a message: -ETIMEDOUT, -ECANCELED (it may not go on), -ENOENT (no virsh), -EIO
 * (it says no).
 */
int virsh_run(const struct virsh *virsh, const char *const *arguments,
	      char **output, char reason[VIRSH_REASON_BYTES]);

/*
 * Is @wanted one of the lines of virsh list --all with the options @filter, which may be
 * NULL, and @what, --uuid or --name? 1: yes. 0, or a negative errno and @reason as above.
 */
int virsh_list_has(const char *uri, const char *filter, const char *what,
		   const char *wanted, char reason[VIRSH_REASON_BYTES]);

/*
 * Is it the libvirt of this machine? The devices of another one are not here, or, worse,
 * others of the same names are. Return: an exit status, after a message.
 */
int virsh_check_local(const char *uri);

#endif /* DMLIVE_VIRSH_H */
