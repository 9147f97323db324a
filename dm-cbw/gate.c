// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate for views. It is open while the origin may be read, and shut while the session
 * is suspended. It is closed for good before another session, or a guest write without a
 * copy, can overwrite what views read.
 */
#include "cbw.h"
#include "gate.h"

bool cbw_gate_has_ended(const struct cbw_session *session)
{
	return READ_ONCE(session->gate) == CBW_GATE_ENDED;
}

enum cbw_gate cbw_view_enter(struct cbw_session *session, struct bio *bio)
{
	enum cbw_gate gate;
	unsigned long flags;

	spin_lock_irqsave(&session->view_lock, flags);
	gate = session->gate;
	/* I/O to a broken session fails anyway: a suspend of the view must not wait. */
	if (gate == CBW_GATE_SHUT && cbw_is(session, CBW_BROKEN))
		gate = CBW_GATE_ENDED;
	if (gate == CBW_GATE_OPEN)
		session->view_io++;
	else if (gate == CBW_GATE_SHUT)
		bio_list_add(&session->view_bios, bio);
	spin_unlock_irqrestore(&session->view_lock, flags);
	return gate;
}

bool cbw_view_pin(struct cbw_session *session)
{
	unsigned long flags;
	bool pinned;

	spin_lock_irqsave(&session->view_lock, flags);
	pinned = session->gate != CBW_GATE_ENDED;
	session->view_io += pinned;
	spin_unlock_irqrestore(&session->view_lock, flags);
	return pinned;
}

void cbw_view_at_store(struct cbw_session *session)
{
	unsigned long flags;

	spin_lock_irqsave(&session->view_lock, flags);
	session->view_store_io++;
	if (session->view_io == session->view_store_io)
		wake_up_all(&session->wait);
	spin_unlock_irqrestore(&session->view_lock, flags);
}

bool cbw_view_is_valid(const struct cbw_session *session)
{
	/*
	 * Pairs with the changes of state and gate, which come before a guest
	 * write or another session overwrites what was read.
	 */
	smp_rmb();
	return !cbw_is(session, CBW_BROKEN) && !cbw_gate_has_ended(session);
}

void cbw_view_leave(struct cbw_session *session, bool at_store)
{
	unsigned long flags;

	spin_lock_irqsave(&session->view_lock, flags);
	session->view_io--;
	session->view_store_io -= at_store;
	if (session->view_io == session->view_store_io)
		wake_up_all(&session->wait);
	spin_unlock_irqrestore(&session->view_lock, flags);
}

void cbw_set_gate(struct cbw_session *session, enum cbw_gate gate)
{
	spin_lock_irq(&session->view_lock);
	WRITE_ONCE(session->gate, gate);
	spin_unlock_irq(&session->view_lock);
}

bool cbw_no_view_io(struct cbw_session *session)
{
	bool none;

	spin_lock_irq(&session->view_lock);
	none = !session->view_io;
	spin_unlock_irq(&session->view_lock);
	return none;
}

bool cbw_no_view_at_origin(struct cbw_session *session)
{
	bool none;

	spin_lock_irq(&session->view_lock);
	none = session->view_io == session->view_store_io;
	spin_unlock_irq(&session->view_lock);
	return none;
}

void cbw_take_view_bios(struct cbw_session *session, struct bio_list *bios)
{
	spin_lock_irq(&session->view_lock);
	*bios = session->view_bios;
	bio_list_init(&session->view_bios);
	spin_unlock_irq(&session->view_lock);
}
