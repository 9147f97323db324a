/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIBFUZZER_H
#define LIBFUZZER_H

/* The interface of libFuzzer, which has no header for C. */

#include <stddef.h>

/* To be defined by a fuzzer: try one input; returns 0. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* May be defined by a fuzzer: change @data in place; returns its new size. */
size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size,
			       size_t max_size, unsigned int seed);

/* libFuzzer's own mutation. */
size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

#endif /* LIBFUZZER_H */
