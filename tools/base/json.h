/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_JSON_H
#define DMLIVE_JSON_H

/*
 * JSON objects to standard output and from files, over json-c. The functions that add
 * members end the program when out of memory.
 */

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object *json_new_object(void);
struct json_object *json_new_array(void);
void json_append(struct json_object *array, struct json_object *element);
void json_add(struct json_object *object, const char *key,
	      struct json_object *value);
void json_add_string(struct json_object *object, const char *key,
		     const char *value);	/* NULL: null */
void json_add_number(struct json_object *object, const char *key,
		     uint64_t value);
void json_add_double(struct json_object *object, const char *key, double value);
void json_add_bool(struct json_object *object, const char *key, bool value);

/* Print on one line, flush, and drop the reference. */
void json_print_line(struct json_object *object);

/* Print for people to read, and drop the reference. */
void json_print_pretty(struct json_object *object);

/*
 * Print an element of an array that is too long to be made whole, and drop the
 * reference. The brackets around it are the caller's.
 */
void json_print_element(struct json_object *element, bool is_first);

/*
 * Write it to the file at @path, atomically: the file is the new one or as it was. 0 or
 * a negative errno, without a message.
 */
int json_save(struct json_object *object, const char *path);

/* Members of an object; NULL, 0 or false when missing. */
const char *json_get_string(struct json_object *object, const char *key);
char *json_copy_string(struct json_object *object, const char *key);	/* to be freed */
uint64_t json_get_number(struct json_object *object, const char *key);
bool json_get_bool(struct json_object *object, const char *key);
bool json_get_bool_or(struct json_object *object, const char *key,
		      bool if_missing);

#endif /* DMLIVE_JSON_H */
