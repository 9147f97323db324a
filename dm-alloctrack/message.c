// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to the target "alloctrack": parsing them, and logging why one is refused.
 */
#include "alloctrack.h"
#include "message.h"
#include "names.h"
#include "stream.h"

static const char *refusal(int r)
{
	switch (r) {
	case -EALREADY:
		return "there is such a job, or nothing left to do";
	case -ESRCH:
		return "no job is active";
	case -EROFS:
		return "the table is read-only";
	case -ERANGE:
		return "the number is too large";
	default:
		return "unknown message or value";
	}
}

/*
 * stream start|pause|resume|cancel
 * stream_speed <bytes/s>
 * on_error report|ignore|stop|enospc
 */
int at_message(struct dm_target *ti, unsigned int argc, char **argv,
	       char *result, unsigned int maxlen)
{
	struct at_table *table = ti->private;
	struct at_device *device = table->device;
	enum dm_alloctrack_on_error on_error;
	u64 speed;
	int r = -EINVAL;

	if (argc != 2) {
		DMERR("%s: message '%s' refused: it has %u words, not two",
		      device->name, argv[0], argc);
		return -EINVAL;
	}
	if (!strcmp(argv[0], "stream")) {
		r = at_stream_message(table, argv[1]);
	} else if (!strcmp(argv[0], "stream_speed")) {
		r = kstrtou64(argv[1], 10, &speed);
		if (!r) {
			at_stream_set_speed(device, speed);
			at_stream_kick(table);
		}
	} else if (!strcmp(argv[0], "on_error")) {
		r = at_parse_on_error(argv[1], &on_error);
		if (!r)
			at_stream_set_on_error(device, on_error);
	}
	if (r)
		DMERR("%s: message '%s %s' refused: %s (stream %s): %d",
		      device->name, argv[0], argv[1], refusal(r),
		      at_stream_state_name(READ_ONCE(device->stream.state)), r);
	return r;
}
