/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_EVENT_H
#define DM_CBW_EVENT_H

/* Events of device mapper. */

struct cbw_session;
struct work_struct;

/** cbw_raise_event - raise a device-mapper event, soon. Any context. */
void cbw_raise_event(struct cbw_session *session);

/** cbw_event_work - the worker that cbw_raise_event() queues */
void cbw_event_work(struct work_struct *work);

#endif /* DM_CBW_EVENT_H */
