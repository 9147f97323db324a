// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of the target "cbw": those of the session and its job here, those of change
 * tracking in track-message.c.
 */
#include "cbw.h"
#include "job.h"
#include "message.h"
#include "state.h"
#include "track-message.h"

static const char *refusal(int r)
{
	switch (r) {
	case -EALREADY:
		return "it is so already";
	case -ESRCH:
		return "there is no session or job under way";
	case -EIO:
		return "the session is broken";
	case -ENODATA:
		return "a view has released blocks that the target would lack";
	case -EOPNOTSUPP:
		return "the job needs a session with target";
	case -ERANGE:
		return "the number is too large";
	default:
		return "unknown message or value";
	}
}

static int message_session(struct cbw_session *session, const char *verb)
{
	if (strcmp(verb, "cancel"))
		return -EINVAL;
	if (!cbw_session_break(session, "the session is cancelled"))
		return -EALREADY;
	return 0;
}

static int message_speed(struct cbw_session *session, const char *value)
{
	u64 speed;
	int r = kstrtou64(value, 10, &speed);

	if (r)
		return r;
	if (!session->target_bdev)
		return -EOPNOTSUPP;
	cbw_job_set_speed(session, speed);
	return 0;
}

/*
 * session cancel
 * job start|pause|resume|cancel
 * job_speed <bytes/s>
 * bitmap ..., backup ...: see track-message.c
 */
int cbw_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen)
{
	struct cbw_table *table = ti->private;
	struct cbw_session *session = table->session;
	const char *name = dm_table_device_name(ti->table);
	int r = -EINVAL;

	if (!strcmp(argv[0], "bitmap") || !strcmp(argv[0], "backup"))
		return cbw_track_message(table, argc, argv);
	if (argc != 2) {
		DMERR("%s: message '%s' refused: it has %u words, not two",
		      name, argv[0], argc);
		return -EINVAL;
	}
	if (!session)
		r = -ESRCH;
	else if (!strcmp(argv[0], "session"))
		r = message_session(session, argv[1]);
	else if (!strcmp(argv[0], "job"))
		r = cbw_job_message(session, argv[1]);
	else if (!strcmp(argv[0], "job_speed"))
		r = message_speed(session, argv[1]);
	if (r)
		DMERR("%s: message '%s %s' refused: %s: %d", name, argv[0],
		      argv[1], refusal(r), r);
	return r;
}
