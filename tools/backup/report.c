// SPDX-License-Identifier: GPL-2.0-only
/* The output of a backup, see report.h. */
#include <stdio.h>

#include "backup/report.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "base/size.h"

#define JSON_UPDATE_NS NS_PER_SECOND

static double seconds_since_start(const struct report *report)
{
	return (double)(monotonic_ns() - report->progress.start_ns) /
	       NS_PER_SECOND;
}

static struct json_object *new_event(const struct report *report,
				     const char *event)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "event", event);
	json_add_double(object, "seconds", seconds_since_start(report));
	return object;
}

/* For take_message(): a process makes one backup. */
static struct report *current;

static void take_message(enum log_level level, const char *line)
{
	struct json_object *object;

	if (level == LOG_LEVEL_INFO)
		return;
	progress_clear(&current->progress);
	fprintf(stderr, "dmlive: %s%s\n",
		level == LOG_LEVEL_WARNING ? "warning: " : "", line);
	if (!current->json || level != LOG_LEVEL_ERROR)
		return;
	object = new_event(current, "error");
	json_add_string(object, "message", line);
	json_print_line(object);
}

void report_start(struct report *report, bool json)
{
	report->json = json;
	report->last_json_ns = 0;
	progress_init(&report->progress, "backup");
	current = report;
	log_set_sink(take_message);
}

static void add_increment(struct json_object *object,
			  const struct increment *increment)
{
	if (!increment->bitmap)
		return;
	json_add_string(object, "bitmap", increment->bitmap);
	json_add_bool(object, "increment", increment->base);
	json_add_number(object, "generation", increment->generation);
	if (increment->base) {
		json_add_number(object, "base_generation", increment->present);
		json_add_string(object, "backing", increment->base_name);
	}
	json_add_string(object, "full_reason",
			increment->base ? NULL : increment->full_reason);
	json_add(object, "gap", increment->is_after_gap ?
		 meta_gap_json(&increment->seal) : NULL);
	json_add_bool(object, "trusted",
		      increment->seal.flags & QCOW2_DMLIVE_SEAL_TRUSTED);
	json_add_bool(object, "committed", increment->is_committed);
}

static struct json_object *list_of(const struct volume *volumes,
				   unsigned int nr)
{
	struct json_object *list = json_new_array(), *object;
	const struct volume *volume;

	for (volume = volumes; volume < volumes + nr; volume++) {
		object = json_new_object();
		json_add_string(object, "name", volume->name);
		json_add_string(object, "output", volume->output_path);
		json_add_number(object, "size_bytes", volume->bytes);
		add_increment(object, &volume->increment);
		json_append(list, object);
	}
	return list;
}

void report_point_in_time(struct report *report, const struct volume *volumes,
			  unsigned int nr, uint64_t suspended_ns)
{
	struct json_object *object;
	unsigned int i;

	if (report->json) {
		object = new_event(report, "point_in_time");
		json_add(object, "devices", list_of(volumes, nr));
		json_add_double(object, "suspended_seconds",
				(double)suspended_ns / NS_PER_SECOND);
		json_print_line(object);
		return;
	}
	for (i = 0; i < nr; i++)
		printf("%s%s", i ? ", " : "", volumes[i].name);
	printf(": the point in time is now; I/O was held for %.3f s\n",
	       (double)suspended_ns / NS_PER_SECOND);
	fflush(stdout);
}

static void add_figures(struct report *report, struct json_object *object,
			const struct backup_figures *figures)
{
	json_add_number(object, "done_bytes", figures->done_bytes);
	json_add_number(object, "total_bytes", figures->total_bytes);
	json_add_number(object, "bytes_per_second",
			(uint64_t)report->progress.rate);
	json_add_number(object, "cow_writes", figures->cow_writes);
	json_add_number(object, "fleece_used_bytes",
			figures->fleece_used_bytes);
}

void report_figures(struct report *report, const struct backup_figures *figures)
{
	struct json_object *object;
	int64_t left;

	progress_update(&report->progress, figures->done_bytes,
			figures->total_bytes, "running");
	if (!report->json ||
	    monotonic_ns() - report->last_json_ns < JSON_UPDATE_NS)
		return;
	report->last_json_ns = monotonic_ns();
	object = new_event(report, "progress");
	add_figures(report, object, figures);
	left = progress_seconds_left(&report->progress, figures->done_bytes,
				     figures->total_bytes);
	if (left >= 0)
		json_add_number(object, "seconds_left", left);
	else
		json_add(object, "seconds_left", NULL);
	json_print_line(object);
}

static void say_finished(struct report *report, const struct volume *volumes,
			 unsigned int nr, const struct backup_figures *figures)
{
	char done[SIZE_TEXT_BYTES], rate[SIZE_TEXT_BYTES];
	double seconds = seconds_since_start(report);
	const char *base;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		base = volumes[i].increment.base ?
		       volumes[i].increment.base_name : NULL;
		printf("%s: the %s is complete: %s%s%s\n", volumes[i].name,
		       base ? "increment" : "backup", volumes[i].output,
		       base ? ", based on " : "", base ?: "");
	}
	printf("%s in %.1f s, %s/s; %llu guest writes waited for a copy\n",
	       size_format(figures->total_bytes, done), seconds,
	       size_format((uint64_t)((double)figures->total_bytes / seconds),
			   rate), (unsigned long long)figures->cow_writes);
}

void report_end(struct report *report, const struct volume *volumes,
		unsigned int nr, const struct backup_figures *figures,
		int status)
{
	struct json_object *object;

	log_set_sink(NULL);
	progress_clear(&report->progress);
	if (!report->json) {
		if (!status)
			say_finished(report, volumes, nr, figures);
		return;
	}
	object = new_event(report, status ? "failed" : "finished");
	add_figures(report, object, figures);
	json_add(object, "devices", list_of(volumes, nr));
	json_print_line(object);
}
