// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps of cbw and cbw-snapshot. The "file" is the origin, the "backing" is the
 * target, "meta" is the fleece device. The origin is all OLD_PATTERN when a session
 * begins.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "dmctl.h"
#include "sweep.h"

#define OLD_PATTERN	0x0d
#define NEW_PATTERN	0xee

static int fd, view_fd;

static int load(const char *features)
{
	return load_device("cbw", table("%s - %u %s", devices.file,
					devices.block_sectors, features));
}

static int load_none(void)
{
	return load("0");
}

static int load_target(void)
{
	return load(table("3 target %s job", devices.backing));
}

static int load_session(void)
{
	return load(table("2 target %s", devices.backing));
}

static int load_fleece(void)
{
	return load(table("4 fleece %s on_cbw_error break_guest_write",
			  devices.meta));
}

static void loaded(void)
{
	make_device();
	sweep_must(load_session(), "load");
}

static void running(void)
{
	make_device();
	sweep_must(load_none() ?: resume_device(), "set up");
	fd = open_device();
	sweep_must(write_pattern(fd, 0, 1 << 20, OLD_PATTERN), "old data");
}

static void in_session(void)
{
	running();
	sweep_must(load_session() ?: suspend_device() ?: resume_device(), "begin a session");
}

static void in_fleece_session(void)
{
	running();
	sweep_must(load_fleece() ?: suspend_device() ?: resume_device(), "begin a session");
}

static void end(void)
{
	close(fd);
	drop_device();
}

static int load_view(void)
{
	return dmctl_load(VIEW, devices.sectors, "cbw-snapshot",
			  device_path(), false);
}

static int resume_view(void)
{
	return dmctl_resume(VIEW);
}

static void no_view_yet(void)
{
	in_session();
	make_view();
}

static void loaded_view(void)
{
	no_view_yet();
	sweep_must(load_view(), "load the view");
}

static void viewed(void)
{
	loaded_view();
	sweep_must(resume_view(), "resume the view");
	view_fd = open_view();
}

static void viewed_fleece(void)
{
	in_fleece_session();
	make_view();
	sweep_must(load_view() ?: resume_view(), "view");
	view_fd = open_view();
}

static void end_idle_view(void)
{
	drop_view();
	end();
}

/* A view always shows the point in time. */
static void end_view(void)
{
	sweep_must(read_pattern(view_fd, 0, 1 << 20, OLD_PATTERN), "read the view");
	close(view_fd);
	end_idle_view();
}

static void end_released_view(void)
{
	sweep_must(read_pattern(view_fd, 524288, 524288, OLD_PATTERN),
		   "read the rest of the view");
	close(view_fd);
	end_idle_view();
}

static int write_some(void)
{
	return write_pattern(fd, 512, 299520, NEW_PATTERN) ?:
	       read_pattern(fd, 512, 299520, NEW_PATTERN);
}

static int write_and_read_view(void)
{
	return write_pattern(fd, 65536, 65536, NEW_PATTERN) ?:
	       read_pattern(view_fd, 0, 524288, OLD_PATTERN);
}

static int discard_view(void)
{
	return discard(view_fd, 0, 524288);
}

static int job_start(void)
{
	return start_job("job start");
}

static int end_session(void)
{
	return load_none() ?: suspend_device() ?: resume_device();
}

static int another_session(void)
{
	return load_fleece() ?: suspend_device() ?: resume_device();
}

static int suspend_and_resume(void)
{
	return suspend_device() ?: resume_device();
}

static void in_written_session(void)
{
	in_session();
	sweep_must(write_some(), "write");
}

static void in_idle_session(void)
{
	in_written_session();
	close(fd);
}

/* Change tracking: "meta" is a bitmap store with the bitmap B. */

static int load_tracking(const char *features)
{
	return load_device("cbw", table("%s %s %u %s", devices.file, devices.meta,
					devices.block_sectors, features));
}

static int load_tracked(void)
{
	return load_tracking("0");
}

static int load_on_bitmap(void)
{
	return load_tracking(table("4 target %s bitmap B", devices.backing));
}

static void loaded_tracked(void)
{
	make_device();
	sweep_must(load_tracked(), "load");
}

static void tracked(void)
{
	loaded_tracked();
	sweep_must(resume_device(), "set up");
	fd = open_device();
	sweep_must(write_pattern(fd, 0, 4096, OLD_PATTERN), "write");
}

static void loaded_on_bitmap(void)
{
	tracked();
	sweep_must(load_on_bitmap() ?: suspend_device(), "load a session");
}

static void on_bitmap(void)
{
	loaded_on_bitmap();
	sweep_must(resume_device(), "begin a session");
}

/* Does the status have this text? */
static bool has_bits(const char *what)
{
	char text[512] = "";

	return !dmctl_status(DEVICE, false, text, sizeof(text)) &&
	       strstr(text, what);
}

/* Later writes are recorded, whatever has failed before. */
static void must_record(void)
{
	sweep_must(dmctl_message(DEVICE, "bitmap clear B"), "clear");
	sweep_must(write_pattern(fd, 65536, 4096, OLD_PATTERN), "write");
	sweep_must(has_bits(" B 65536 recording 1 ") ? 0 : EBADMSG,
		   "the write is recorded");
}

/* The status can be read, also after a failed resume. */
static int resume_and_query(void)
{
	int error = resume_device();

	return query_device() ?: error;
}

/* If the load fails it is for lack of memory, and the present table works on. */
static int load_over(void)
{
	int error = load_on_bitmap();

	if (!error)
		return 0;
	must_record();
	return error == ENOMEM ? error : EBADMSG;
}

static int change_messages(void)
{
	static const char *const texts[] = {
		"bitmap disable B", "bitmap enable B", "bitmap clear B",
	};
	unsigned int i;
	int error;

	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		error = dmctl_message(DEVICE, texts[i]);
		/* The first try may have changed it already. */
		if (error && error != EALREADY)
			return error;
	}
	return 0;
}

/* The generation must be a different one each time. */
static int commit_message(void)
{
	static unsigned int generation;

	return dmctl_message(DEVICE, table("backup commit B %u", ++generation));
}

static int abort_message(void)
{
	return dmctl_message(DEVICE, "backup abort B");
}

static void end_recording(void)
{
	must_record();
	end();
}

const struct step cbw_track_steps[] = {
	STEP("load", make_device, load_tracked, clear_device),
	STEP("resume", loaded_tracked, resume_and_query, drop_device),
	STEP("load another", tracked, load_over, end_recording),
	STEP("suspend", tracked, suspend_and_resume, end_recording),
	STEP("begin a session", loaded_on_bitmap, resume_and_query, end),
	STEP("messages", tracked, change_messages, end_recording),
	STEP("commit", on_bitmap, commit_message, end_recording),
	STEP("abort", on_bitmap, abort_message, end_recording),
	{ }
};

const struct step cbw_steps[] = {
	STEP("load without a session", make_device, load_none, clear_device),
	STEP("load with target", make_device, load_target, clear_device),
	STEP("load with fleece", make_device, load_fleece, clear_device),
	STEP("resume", loaded, resume_device, drop_device),
	STEP("load a view", no_view_yet, load_view, end_idle_view),
	STEP("resume a view", loaded_view, resume_view, end_idle_view),
	STEP("job start", in_session, job_start, end),
	STEP("status", in_session, query_device, end),
	STEP("suspend", viewed, suspend_and_resume, end_view),
	STEP("end the session", in_written_session, end_session, end),
	STEP("another session", in_written_session, another_session, end),
	STEP("remove", in_idle_session, remove_device, forget_device),
	{ }
};

const struct step cbw_io_steps[] = {
	STEP("write to target", viewed, write_some, end_view),
	STEP("write to fleece", viewed_fleece, write_some, end_view),
	STEP("read a view", viewed, write_and_read_view, end_view),
	STEP("read a view of fleece", viewed_fleece, write_and_read_view, end_view),
	STEP("discard a view", viewed, discard_view, end_released_view),
	{ }
};
