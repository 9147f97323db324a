/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_COPY_H
#define DM_CBW_COPY_H

/* The copy itself. */

#include <linux/limits.h>
#include <linux/types.h>

struct cbw_copier;
struct cbw_result;
struct cbw_session;

/** cbw_copy_failed_fn - called when a block could not be copied. No lock. */
typedef void (*cbw_copy_failed_fn)(struct cbw_session *session, u64 block,
				   const struct cbw_result *result);

#define CBW_NO_BLOCK	U64_MAX

/**
 * cbw_copy_claims - copy what is claimed, and clear its bits in todo or left
 * @copier: has the claims
 * @may_go_on: called before each block of a copy block by block; no lock
 * @failed: called for each block that fails then
 *
 * Copies all blocks at once; if any of them fails, block by block. Does nothing to
 * blocks whose bit was cleared in the meantime. Sleeps.
 *
 * Return: the first block that was not tried because the session is suspended or over
 * or @may_go_on returned false; CBW_NO_BLOCK: none.
 */
u64 cbw_copy_claims(struct cbw_copier *copier,
		    bool (*may_go_on)(struct cbw_session *session),
		    cbw_copy_failed_fn failed);

/** cbw_count_error - count and log an error of a copy */
void cbw_count_error(struct cbw_session *session, u64 first,
		     const struct cbw_result *result);

#endif /* DM_CBW_COPY_H */
