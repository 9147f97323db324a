/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FUZZ_FAKE_CBW_H
#define FUZZ_FAKE_CBW_H

/*
 * The environment of cbw's parsers: a metadata device with the bitmaps a, b, c, all and
 * lost, and a session whose job does nothing.
 */

#include "dm-cbw/track.h"

/** fake_track - for a table with a metadata device */
struct cbw_track *fake_track(struct cbw_table *table);
void fake_track_free(struct cbw_track *track);

/** fake_session - as in the constructor, for a table with a store; or NULL */
struct cbw_session *fake_session(struct cbw_table *table);
void fake_session_free(struct cbw_session *session);

#endif /* FUZZ_FAKE_CBW_H */
