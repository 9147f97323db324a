/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_COPY_H
#define DM_CBW_COPY_H

/* The copy itself. */

#include <linux/limits.h>
#include <linux/types.h>

struct cbw_copier;
struct cbw_result;
struct cbw_session;

/** cbw_copy_failed_fn - the copy of a block has failed. No lock. */
typedef void (*cbw_copy_failed_fn)(struct cbw_session *session, u64 block,
				   const struct cbw_result *result);

#define CBW_NO_BLOCK	U64_MAX

/**
 * cbw_copy_claims - copy what is claimed, and clear the bits of todo, or of left
 * @copier: who has the claims
 * @may_go_on: asked before each block when they are tried one by one; no lock
 * @failed: called for each block that fails then
 *
 * Blocks whose bit went away meanwhile are left alone. All are copied in one go; when
 * any of it fails, block by block. Sleeps.
 *
 * Return: the first block that was left, as the session is suspended or over, or as
 * @may_go_on said so; CBW_NO_BLOCK: none.
 */
u64 cbw_copy_claims(struct cbw_copier *copier,
		    bool (*may_go_on)(struct cbw_session *session),
		    cbw_copy_failed_fn failed);

/** cbw_count_error - count and log an error of a copy */
void cbw_count_error(struct cbw_session *session, u64 first,
		     const struct cbw_result *result);

#endif /* DM_CBW_COPY_H */
