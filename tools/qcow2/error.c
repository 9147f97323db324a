// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of the image reader. A name in a message may come from a hostile
 * image: control characters are replaced, so that it cannot drive the terminal
 * or fake a second line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

void image_error_set(struct image_error *err, const char *format, ...)
{
	va_list args;
	char *c;

	if (!err)
		return;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	for (c = err->message; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

int image_fail_memory(struct image_error *err, const char *path)
{
	return image_fail(err, -ENOMEM, "%s: out of memory", path);
}

int image_blame(struct image_error *err, int code, const char *owner,
		const char *what)
{
	const size_t length = strlen(owner);
	struct image_error reason;

	if (!code || !err)
		return code;
	if (!strncmp(err->message, owner, length) &&
	    err->message[length] == ':')
		return code;
	reason = *err;
	if (code == -ENOENT || code == -ENOTDIR)
		image_error_set(err,
				"%.140s: its %s is missing: %.200s; put it back, or have the image name another one (qemu-img rebase -u)",
				owner, what, reason.message);
	else
		image_error_set(err, "%.140s: its %s: %.300s", owner, what,
				reason.message);
	return code;
}
