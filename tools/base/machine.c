// SPDX-License-Identifier: GPL-2.0-only
/* The identity of the machine, see machine.h. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "base/sha256.h"

#define MACHINE_ID_FILE "/etc/machine-id"
/* Other programs make other digests of it. */
#define SALT "dmlive restore"

static bool is_hexadecimal(const char *text)
{
	for (; *text; text++)
		if (!isxdigit((unsigned char)*text))
			return false;
	return true;
}

bool machine_get_id(char id[MACHINE_ID_BYTES])
{
	char text[MACHINE_ID_BYTES] = "";
	uint8_t digest[SHA256_BYTES];
	struct sha256 sha;
	unsigned int i;
	FILE *file = fopen(MACHINE_ID_FILE, "re");

	id[0] = '\0';
	if (!file)
		return false;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	/* It may be "uninitialized". */
	if (strlen(text) != MACHINE_ID_BYTES - 1 || !is_hexadecimal(text))
		return false;
	sha256_start(&sha);
	sha256_add(&sha, SALT, strlen(SALT));
	sha256_add(&sha, text, strlen(text));
	sha256_end(&sha, digest);
	for (i = 0; i < (MACHINE_ID_BYTES - 1) / 2; i++)
		sprintf(id + 2 * i, "%02x", digest[i]);
	return true;
}
