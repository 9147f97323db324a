/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_TABLE_H
#define DM_CBW_TABLE_H

/* The table line of "cbw". */

struct cbw_table;

/** cbw_table_parse - 0, or a negative errno with ti->error set */
int cbw_table_parse(struct cbw_table *table, unsigned int argc, char **argv);
unsigned int cbw_table_emit_features(const struct cbw_table *table,
				     unsigned int sz, char *result,
				     unsigned int maxlen);
unsigned int cbw_table_emit(const struct cbw_table *table, unsigned int sz,
			    char *result, unsigned int maxlen);

#endif /* DM_CBW_TABLE_H */
