// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of the image reader. A name in a message may come from a hostile
 * image: control characters are replaced, so that it cannot drive the terminal
 * or fake a second line.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
