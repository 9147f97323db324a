/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_COW_H
#define DM_CBW_COW_H

/* The workers that copy for guest writes. */

struct cbw_session;

void cbw_cow_init(struct cbw_session *session);

#endif /* DM_CBW_COW_H */
