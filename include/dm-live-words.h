/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_WORDS_H
#define DM_LIVE_WORDS_H

/*
 * The words of table and status lines: one table for the target that prints a line and
 * the tool that reads it, or the other way round. The macro WORDS(entry) expands
 * entry(NUMBER, "word") for each word:
 *
 *	enum numbers { WORDS(DM_LIVE_NUMBER) };
 *	static const char *const words[] = { WORDS(DM_LIVE_WORD) };
 *
 * The words are part of the interface: they stay valid.
 */

#define DM_LIVE_NUMBER(number, word) \
	number,
#define DM_LIVE_WORD(number, word) \
	[number] = word,

/* States of the stream job of alloctrack, enum dm_alloctrack_state. */
#define ALLOCTRACK_STATES(entry)				\
	entry(DM_ALLOCTRACK_IDLE, "idle")			\
	entry(DM_ALLOCTRACK_RUNNING, "running")			\
	entry(DM_ALLOCTRACK_PAUSED, "paused")			\
	entry(DM_ALLOCTRACK_STOPPED, "stopped")			\
	entry(DM_ALLOCTRACK_FAILED, "failed")			\
	entry(DM_ALLOCTRACK_CANCELLED, "cancelled")		\
	entry(DM_ALLOCTRACK_COMPLETE, "complete")

/* What an error does, enum dm_alloctrack_on_error. */
#define ALLOCTRACK_ON_ERROR(entry)				\
	entry(DM_ALLOCTRACK_ON_ERROR_REPORT, "report")		\
	entry(DM_ALLOCTRACK_ON_ERROR_IGNORE, "ignore")		\
	entry(DM_ALLOCTRACK_ON_ERROR_STOP, "stop")		\
	entry(DM_ALLOCTRACK_ON_ERROR_ENOSPC, "enospc")

/* Features of alloctrack. From STREAM_SPEED on, a value follows. */
#define ALLOCTRACK_FEATURES(entry)				\
	entry(AUTO_REMOVE, "auto_remove")			\
	entry(COPY_ON_READ, "copy_on_read")			\
	entry(STREAM, "stream")					\
	entry(TARGET_IS_ZERO, "target_is_zero")			\
	entry(NO_DETECT_ZEROES, "no_detect_zeroes")		\
	entry(STREAM_SPEED, "stream_speed")			\
	entry(ON_ERROR, "on_error")				\
	entry(USER_TIMEOUT, "user_timeout")

/* States of a session of cbw. */
#define CBW_SESSION_STATES(entry)				\
	entry(CBW_SESSION_NONE, "none")				\
	entry(CBW_SESSION_ACTIVE, "active")			\
	entry(CBW_SESSION_BROKEN, "broken")			\
	entry(CBW_SESSION_COMPLETE, "complete")

enum cbw_session_state { CBW_SESSION_STATES(DM_LIVE_NUMBER) };

/* States of its job; stopped: paused by an error. */
#define CBW_JOB_STATES(entry)					\
	entry(CBW_JOB_NONE, "none")				\
	entry(CBW_JOB_RUNNING, "running")			\
	entry(CBW_JOB_PAUSED, "paused")				\
	entry(CBW_JOB_STOPPED, "stopped")			\
	entry(CBW_JOB_FAILED, "failed")				\
	entry(CBW_JOB_CANCELLED, "cancelled")			\
	entry(CBW_JOB_COMPLETE, "complete")

enum cbw_job_state { CBW_JOB_STATES(DM_LIVE_NUMBER) };

/* What an error of the job does. */
#define CBW_ON_ERROR(entry)					\
	entry(CBW_ON_ERROR_REPORT, "report")			\
	entry(CBW_ON_ERROR_IGNORE, "ignore")			\
	entry(CBW_ON_ERROR_STOP, "stop")			\
	entry(CBW_ON_ERROR_ENOSPC, "enospc")

enum cbw_on_error { CBW_ON_ERROR(DM_LIVE_NUMBER) };

/* What a copy that fails breaks. */
#define CBW_ON_CBW_ERROR(entry)					\
	entry(CBW_BREAK_GUEST_WRITE, "break_guest_write")	\
	entry(CBW_BREAK_SNAPSHOT, "break_snapshot")

enum cbw_on_cbw_error { CBW_ON_CBW_ERROR(DM_LIVE_NUMBER) };

/* What a metadata device that fails breaks. */
#define CBW_ON_META_ERROR(entry)				\
	entry(CBW_META_BREAK_GUEST_WRITE, "break_guest_write")	\
	entry(CBW_BREAK_TRACKING, "break_tracking")

enum cbw_on_meta_error { CBW_ON_META_ERROR(DM_LIVE_NUMBER) };

/* Features of cbw. From TARGET on, a value follows. */
#define CBW_FEATURES(entry)					\
	entry(JOB, "job")					\
	entry(TARGET, "target")					\
	entry(FLEECE, "fleece")					\
	entry(BITMAP, "bitmap")					\
	entry(NEW_BITMAP, "new_bitmap")				\
	entry(GENERATION, "generation")				\
	entry(ON_META_ERROR, "on_meta_error")			\
	entry(ON_CBW_ERROR, "on_cbw_error")			\
	entry(CBW_TIMEOUT, "cbw_timeout")			\
	entry(JOB_SPEED, "job_speed")				\
	entry(JOB_WORKERS, "job_workers")			\
	entry(ON_SOURCE_ERROR, "on_source_error")		\
	entry(ON_TARGET_ERROR, "on_target_error")		\
	entry(FLEECE_LOW_WATER, "fleece_low_water")

#endif /* DM_LIVE_WORDS_H */
