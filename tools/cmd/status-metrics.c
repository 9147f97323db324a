// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive status --metrics`: the text format of OpenMetrics 1.0, which Prometheus and
 * node_exporter's textfile collector read. All samples of a metric stand together, so
 * each metric is one walk over the devices.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/history.h"
#include "base/json.h"
#include "cmd/status.h"

enum type {
	GAUGE,
	COUNTER,
	STATE,			/* the value is 1, and the member is the label "state" */
};

/*
 * @kind: of the devices that have the metric, as "kind" of the status in JSON; NULL: all
 * @list: NULL: the metric is a member of the device; "": of its "tracking"; else of the
 *	elements of this array there
 * @key: the member
 */
struct metric {
	const char *name;
	const char *help;
	const char *kind;
	const char *list;
	const char *key;
	enum type type;
};

static const struct metric metrics[] = {
	{ "device_size_bytes", "Size of the mapped device.",
	  NULL, NULL, "size_bytes", GAUGE },
	{ "device_suspended", "1 while the mapped device is suspended.",
	  NULL, NULL, "suspended", GAUGE },
	{ "restore_state", "State of the restore.",
	  "restore", NULL, "state", STATE },
	{ "restore_allocated_bytes", "What of the device is on its volume.",
	  "restore", NULL, "allocated_bytes", GAUGE },
	{ "restore_streamed_bytes", "What the stream has copied.",
	  "restore", NULL, "streamed_bytes", COUNTER },
	{ "restore_read_errors", "Failed reads of the image.",
	  "restore", NULL, "read_errors", COUNTER },
	{ "restore_write_errors", "Failed writes to the volume.",
	  "restore", NULL, "write_errors", COUNTER },
	{ "restore_served",
	  "1 while a process serves what is not on the volume.",
	  "restore", NULL, "server", GAUGE },
	{ "session_state", "State of the point in time.",
	  "cbw", NULL, "session", STATE },
	{ "session_copied_blocks", "Blocks of the session that are copied.",
	  "cbw", NULL, "copied_blocks", GAUGE },
	{ "session_scope_blocks", "Blocks of the session.",
	  "cbw", NULL, "scope_blocks", GAUGE },
	{ "session_cow_writes", "Writes that waited for a copy.",
	  "cbw", NULL, "cow_writes", COUNTER },
	{ "session_source_errors", "Failed reads of the origin.",
	  "cbw", NULL, "source_errors", COUNTER },
	{ "session_target_errors", "Failed writes of old data.",
	  "cbw", NULL, "target_errors", COUNTER },
	{ "fleece_used_slots", "Slots of the fleece device that are in use.",
	  "cbw", NULL, "slots_used", GAUGE },
	{ "fleece_slots", "Slots of the fleece device.",
	  "cbw", NULL, "slots", GAUGE },
	{ "tracking_state", "State of change tracking.",
	  "cbw", "", "state", STATE },
	{ "bitmap_set_bytes", "What the bitmap has recorded as changed.",
	  "cbw", "bitmaps", "set_bytes", GAUGE },
	{ "bitmap_recording", "1 while the bitmap records changes.",
	  "cbw", "bitmaps", "recording", GAUGE },
	{ "bitmap_generation",
	  "Generation of the backup that it belongs to; 0: none.",
	  "cbw", "bitmaps", "generation", GAUGE },
	{ "backup_end_seconds",
	  "When the last backup of the device ended, in seconds since 1970.",
	  "backup", NULL, "end_seconds", GAUGE },
	{ "backup_status", "Exit status of the last backup; 0: success.",
	  "backup", NULL, "status", GAUGE },
	{ "backup_success_seconds",
	  "When the last successful backup ended; 0: there was none.",
	  "backup", NULL, "success_seconds", GAUGE },
	{ "backup_duration_seconds", "How long the last successful one took.",
	  "backup", NULL, "duration_seconds", GAUGE },
	{ "backup_bytes", "What the last successful backup copied.",
	  "backup", NULL, "bytes", GAUGE },
};

static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*text == '\\' || *text == '"')
			putchar('\\');
		putchar(*text);
	}
}

static void print_label(const char *key, const char *value, char before)
{
	printf("%c%s=\"", before, key);
	print_escaped(value ? value : "");
	putchar('"');
}

static void print_value(struct json_object *value)
{
	if (json_object_is_type(value, json_type_int))
		printf(" %" PRIu64 "\n", json_object_get_uint64(value));
	else
		printf(" %d\n", json_object_get_boolean(value) ? 1 : 0);
}

static void print_sample(const struct metric *metric, const char *device,
			 const char *bitmap, struct json_object *object)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, metric->key, &value) ||
	    (metric->type == STATE && !value))
		return;
	printf("dmlive_%s%s", metric->name,
	       metric->type == COUNTER ? "_total" : "");
	print_label("device", device, '{');
	if (bitmap)
		print_label("bitmap", bitmap, ',');
	if (metric->type == STATE) {
		print_label("state", json_object_get_string(value), ',');
		printf("} 1\n");
		return;
	}
	putchar('}');
	/* A process number only says that there is one. */
	if (!strcmp(metric->key, "server"))
		printf(" %d\n", value ? 1 : 0);
	else
		print_value(value);
}

static void print_samples(const struct metric *metric,
			  struct json_object *device)
{
	const char *name = json_get_string(device, "name");
	struct json_object *tracking, *list, *element;
	size_t i;

	if (!metric->list) {
		print_sample(metric, name, NULL, device);
		return;
	}
	if (!json_object_object_get_ex(device, "tracking", &tracking) ||
	    !tracking)
		return;
	if (!*metric->list) {
		print_sample(metric, name, NULL, tracking);
		return;
	}
	if (!json_object_object_get_ex(tracking, metric->list, &list))
		return;
	for (i = 0; i < json_object_array_length(list); i++) {
		element = json_object_array_get_idx(list, i);
		print_sample(metric, name, json_get_string(element, "name"),
			     element);
	}
}

static bool is_of(const struct metric *metric, struct json_object *device)
{
	const char *kind = json_get_string(device, "kind");

	if (!kind || !strcmp(kind, "leftover"))
		return false;
	return !metric->kind || !strcmp(metric->kind, kind);
}

static void print_family(const char *name, const char *type, const char *help)
{
	printf("# TYPE dmlive_%s %s\n# HELP dmlive_%s %s\n", name, type, name,
	       help);
}

static void print_leftovers(struct json_object *array)
{
	size_t i, nr = 0;

	for (i = 0; i < json_object_array_length(array); i++) {
		const char *kind =
			json_get_string(json_object_array_get_idx(array, i),
					"kind");

		nr += kind && !strcmp(kind, "leftover");
	}
	print_family("leftovers", "gauge",
		     "What killed commands have left; see dmlive status.");
	printf("dmlive_leftovers %zu\n", nr);
}

void status_print_metrics(struct json_object *array)
{
	size_t nr, m, i;

	history_append(array);
	nr = json_object_array_length(array);
	for (m = 0; m < sizeof(metrics) / sizeof(*metrics); m++) {
		const struct metric *metric = &metrics[m];

		print_family(metric->name,
			     metric->type == COUNTER ? "counter" : "gauge",
			     metric->help);
		for (i = 0; i < nr; i++) {
			struct json_object *device =
				json_object_array_get_idx(array, i);

			if (is_of(metric, device))
				print_samples(metric, device);
		}
	}
	print_leftovers(array);
	puts("# EOF");
}
