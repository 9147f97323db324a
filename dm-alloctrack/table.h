/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_TABLE_H
#define DM_ALLOCTRACK_TABLE_H

/* The table line. */

struct at_table;

/** at_table_parse - read the arguments; sets ti->error. The grammar is in table.c. */
int at_table_parse(struct at_table *table, unsigned int argc, char **argv);

/**
 * at_table_emit - write the arguments
 * @sz: bytes of @result in use
 * Return: bytes in use afterwards. at_table_emit_features() writes only the features.
 */
unsigned int at_table_emit(const struct at_table *table, unsigned int sz,
			   char *result, unsigned int maxlen);
unsigned int at_table_emit_features(const struct at_table *table,
				    unsigned int sz, char *result,
				    unsigned int maxlen);

#endif /* DM_ALLOCTRACK_TABLE_H */
