// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of the stream job, and whether the device is gone: read from the kernel by
 * INFO, and kept in the engine for all threads.
 */
#include <errno.h>

#include "base/process.h"
#include "restore/engine-internal.h"

void engine_note(struct engine *engine, int r)
{
	/* Ask INFO: a volume that is offline gives ENODEV too. */
	if (r == -ENODEV)
		engine_refresh(engine);
}

static void set_gone(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	__atomic_store_n(&engine->gone, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
}

bool engine_is_streaming(struct engine *engine)
{
	bool streaming;

	pthread_mutex_lock(&engine->lock);
	streaming = engine->info.state == DM_ALLOCTRACK_RUNNING &&
		    !engine->stopping && !engine->gone;
	pthread_mutex_unlock(&engine->lock);
	return streaming;
}

/* Returns whether the last try has just ended. */
static bool apply_info(struct engine *engine,
		       const struct dm_alloctrack_info *info)
{
	struct streamer *streamer = &engine->streamer;
	uint32_t old_state;
	bool last_try_over;

	pthread_mutex_lock(&engine->lock);
	old_state = engine->info.state;
	engine->info = *info;
	rate_set(&streamer->rate, info->stream_speed, monotonic_ns());
	last_try_over = streamer->last_try &&
			info->state != DM_ALLOCTRACK_RUNNING;
	if (last_try_over)
		streamer->last_try = false;
	if (info->state == DM_ALLOCTRACK_RUNNING && old_state != info->state)
		claims_restart(engine);
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	return last_try_over;
}

int engine_refresh(struct engine *engine)
{
	struct channel *channel = engine->channel;
	struct dm_alloctrack_info info;
	uint32_t old_state;
	int r;

	pthread_mutex_lock(&engine->control_lock);
	r = channel->ops->info(channel, &info);
	if (!r) {
		old_state = engine->info.state;
		if (apply_info(engine, &info))
			channel->ops->set_on_error(channel,
						DM_ALLOCTRACK_ON_ERROR_IGNORE);
		if (old_state != info.state && engine->options.on_state)
			engine->options.on_state(&info,
						 engine->options.argument);
		/* engine_run() may sleep, and the kernel reports a change only once. */
		if (old_state != info.state)
			channel->ops->wake(channel);
	}
	pthread_mutex_unlock(&engine->control_lock);
	if (r == -ENODEV)
		set_gone(engine);
	return r;
}
