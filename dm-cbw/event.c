// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-mapper events of a session.
 */
#include "cbw.h"
#include "event.h"

void cbw_event_work(struct work_struct *work)
{
	struct cbw_session *session = container_of(work, struct cbw_session,
						   event_work);

	dm_table_event(session->ti->table);
}

void cbw_raise_event(struct cbw_session *session)
{
	queue_work(session->submit_wq, &session->event_work);
}
