// SPDX-License-Identifier: GPL-2.0-only
/* The identity of the machine, see machine.h. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "base/sha256.h"

#define MACHINE_ID_FILE "/etc/machine-id"
#define PRODUCT_UUID_FILE "/sys/class/dmi/id/product_uuid"
#define UUID_BYTES 37
/* Other programs make other digests of it. */
#define SALT "dmlive restore"

static bool is_hexadecimal(const char *text)
{
	for (; *text; text++)
		if (!isxdigit((unsigned char)*text))
			return false;
	return true;
}

/* The kernel leaves out one that says that there is none. */
static bool read_product_uuid(char uuid[UUID_BYTES])
{
	FILE *file = fopen(PRODUCT_UUID_FILE, "re");
	char *at;

	uuid[0] = '\0';
	if (!file)
		return false;
	if (!fgets(uuid, UUID_BYTES, file))
		uuid[0] = '\0';
	fclose(file);
	/* Some kernels print it in capital letters. */
	for (at = uuid; *at; at++)
		*at = tolower((unsigned char)*at);
	return strspn(uuid, "0123456789abcdef-") == UUID_BYTES - 1;
}

bool machine_differs_from_clones(void)
{
	char uuid[UUID_BYTES];

	return read_product_uuid(uuid);
}

bool machine_get_id(char id[MACHINE_ID_BYTES])
{
	char text[MACHINE_ID_BYTES] = "", uuid[UUID_BYTES];
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
	if (read_product_uuid(uuid))
		sha256_add(&sha, uuid, strlen(uuid));
	sha256_end(&sha, digest);
	for (i = 0; i < (MACHINE_ID_BYTES - 1) / 2; i++)
		sprintf(id + 2 * i, "%02x", digest[i]);
	return true;
}
