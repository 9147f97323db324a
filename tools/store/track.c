// SPDX-License-Identifier: GPL-2.0-only
/* Stores for the tracking of changes, see track.h. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/words.h"
#include "store/inspect.h"
#include "store/track.h"

size_t meta_track_bitmaps(struct meta_bitmap *bitmaps, meta_spare_name *names,
			  unsigned int nr_spares, uint64_t granularity)
{
	unsigned int i;

	bitmaps[0] = (struct meta_bitmap) {
		.name = QCOW2_DMLIVE_INTENT_NAME,
		.granularity = 1ULL << QCOW2_DMLIVE_INTENT_BITS,
	};
	for (i = 0; i < nr_spares; i++) {
		snprintf(names[i], sizeof(names[i]),
			 QCOW2_DMLIVE_SPARE_PREFIX "%u", i + 1);
		bitmaps[i + 1] = (struct meta_bitmap) {
			.name = names[i],
			.granularity = granularity,
		};
	}
	return nr_spares + 1;
}

int meta_make_uuid(uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES])
{
	if (getrandom(uuid, QCOW2_DMLIVE_UUID_BYTES, 0) ==
	    QCOW2_DMLIVE_UUID_BYTES)
		return 0;
	error_errno(errno, "no random number for the UUID");
	return -EIO;
}

bool meta_check_name(const char *option, const char *name)
{
	const char *at;

	for (at = name; *at && *at != '\\' && !isspace((unsigned char)*at);)
		at++;
	if (!*at && at > name && at - name < STATUS_WORD_BYTES &&
	    !meta_name_is_reserved(name, at - name))
		return true;
	error("%s %s: must have no spaces and no backslashes, have at most %d bytes, and not begin with %s",
	      option, name, STATUS_WORD_BYTES - 1,
	      QCOW2_DMLIVE_RESERVED_PREFIX);
	return false;
}
