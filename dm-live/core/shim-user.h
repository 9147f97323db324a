/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_SHIM_USER_H
#define DM_LIVE_SHIM_USER_H

/*
 * The user-space half of shim.h: what the pure parts of dm-live use of the
 * kernel, made of the C library and the compiler's builtins. Link with -pthread.
 *
 * Names and meanings are the kernel's. Where a replacement does less, or works in
 * another way, the comment above it says so. Nothing here needs to be fast;
 * sanitizers have to understand all of it.
 */

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

#define U8_MAX		((u8)~0U)
#define U16_MAX		((u16)~0U)
#define U32_MAX		((u32)~0U)
#define U64_MAX		((u64)~0ULL)

#ifndef __force
#define __force
#endif
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* A dummy declaration, so that the semicolon behind the macro ends one. */
#define EXPORT_SYMBOL_GPL(name)	struct shim_export_##name

/* Numbers. As in the kernel, min() and max() require operands of one type. */

#define shim_pick(a, op, b) ({						\
	__typeof__(a) shim_a = (a);					\
	__typeof__(b) shim_b = (b);					\
									\
	(void)(&shim_a == &shim_b);					\
	shim_a op shim_b ? shim_a : shim_b;				\
})
#define min(a, b)		shim_pick(a, <, b)
#define max(a, b)		shim_pick(a, >, b)
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

/* Bits. __ffs(0) is undefined, there as here. */

#if __SIZEOF_LONG__ == 8
#define BITS_PER_LONG	64
#else
#define BITS_PER_LONG	32
#endif

static inline unsigned long hweight_long(unsigned long word)
{
	return __builtin_popcountl(word);
}

static inline unsigned long __ffs(unsigned long word)
{
	return __builtin_ctzl(word);
}

/* Byte order. The types are those of <linux/types.h>, which sparse checks. */

#define cpu_to_le16(x)	((__force __le16)htole16(x))
#define cpu_to_le32(x)	((__force __le32)htole32(x))
#define cpu_to_le64(x)	((__force __le64)htole64(x))
#define cpu_to_be16(x)	((__force __be16)htobe16(x))
#define cpu_to_be32(x)	((__force __be32)htobe32(x))
#define cpu_to_be64(x)	((__force __be64)htobe64(x))
#define le16_to_cpu(x)	le16toh((__force u16)(x))
#define le32_to_cpu(x)	le32toh((__force u32)(x))
#define le64_to_cpu(x)	le64toh((__force u64)(x))
#define be16_to_cpu(x)	be16toh((__force u16)(x))
#define be32_to_cpu(x)	be32toh((__force u32)(x))
#define be64_to_cpu(x)	be64toh((__force u64)(x))

/*
 * Memory order. The thread sanitizer does not support fences; for it a barrier is a
 * read-modify-write of one variable, which orders at least as much as pairs of
 * barriers do (and may so hide a race that lacks one).
 */
static inline void shim_full_barrier(void)
{
#ifdef __SANITIZE_THREAD__
	static int common;

	__atomic_fetch_add(&common, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#define smp_mb()	shim_full_barrier()	/* partners stand at its users */
#define smp_rmb()	shim_full_barrier()	/* the same */

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_RELAXED)

/*
 * Atomics. Those that return nothing order nothing, those that return a value
 * are fully ordered. The C11 model lets accesses before a sequentially
 * consistent read-modify-write move past its store half: hence the barriers.
 */

struct shim_atomic64 {
	s64 counter;
};
#define atomic64_t struct shim_atomic64

struct shim_atomic_long {
	long counter;
};
#define atomic_long_t struct shim_atomic_long

static inline void atomic64_set(atomic64_t *v, s64 value)
{
	__atomic_store_n(&v->counter, value, __ATOMIC_RELAXED);
}

static inline s64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline s64 atomic64_cmpxchg(atomic64_t *v, s64 old, s64 value)
{
	shim_full_barrier();
	__atomic_compare_exchange_n(&v->counter, &old, value, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	shim_full_barrier();
	return old;
}

static inline bool atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 value)
{
	s64 expected = *old;

	*old = atomic64_cmpxchg(v, expected, value);
	return *old == expected;
}

static inline void atomic64_sub(s64 value, atomic64_t *v)
{
	__atomic_fetch_sub(&v->counter, value, __ATOMIC_RELAXED);
}

static inline void atomic64_add(s64 value, atomic64_t *v)
{
	__atomic_fetch_add(&v->counter, value, __ATOMIC_RELAXED);
}

static inline long atomic_long_read(const atomic_long_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline long atomic_long_xchg_relaxed(atomic_long_t *v, long value)
{
	return __atomic_exchange_n(&v->counter, value, __ATOMIC_RELAXED);
}

static inline long atomic_long_fetch_or(long mask, atomic_long_t *v)
{
	long old;

	shim_full_barrier();
	old = __atomic_fetch_or(&v->counter, mask, __ATOMIC_SEQ_CST);
	shim_full_barrier();
	return old;
}

static inline long atomic_long_fetch_andnot(long mask, atomic_long_t *v)
{
	long old;

	shim_full_barrier();
	old = __atomic_fetch_and(&v->counter, ~mask, __ATOMIC_SEQ_CST);
	shim_full_barrier();
	return old;
}

/* User space is preempted anyway. */
static inline void cond_resched(void)
{
}

static inline void shim_may_take_long(bool takes_long)
{
	(void)takes_long;
}

/* Memory. The flags are taken and ignored; all of it may fail. */

#define GFP_KERNEL	0

static inline void *kzalloc(size_t bytes, int flags)
{
	(void)flags;
	return calloc(1, bytes);
}

static inline void kfree(const void *memory)
{
	free((void *)memory);
}

static inline void *shim_zalloc_large(u64 bytes)
{
	return bytes == (size_t)bytes ? calloc(1, bytes) : NULL;
}

static inline void shim_free_large(void *memory)
{
	free(memory);
}

static inline void shim_sort(void *base, size_t nr, size_t size,
			     int (*compare)(const void *a, const void *b))
{
	qsort(base, nr, size, compare);
}

/*
 * Locks and waiting. There are no interrupts, and a waiter sleeps. As in the kernel,
 * callers destroy nothing; glibc does not need it for either object.
 */

struct shim_spinlock {
	pthread_mutex_t mutex;
};
#define spinlock_t struct shim_spinlock

static inline void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

static inline void spin_lock(spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
}

static inline void spin_unlock(spinlock_t *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

#define spin_lock_irqsave(lock, flags) \
	do { (flags) = 0; spin_lock(lock); } while (0)
#define spin_unlock_irqrestore(lock, flags) \
	do { (void)(flags); spin_unlock(lock); } while (0)

struct completion {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned int done;
};

#define DECLARE_COMPLETION_ONSTACK(name)				\
	struct completion name = {					\
		.mutex = PTHREAD_MUTEX_INITIALIZER,			\
		.cond = PTHREAD_COND_INITIALIZER,			\
	}

/* The waiter may leave, and its stack frame go, once the mutex is free. */
static inline void complete(struct completion *x)
{
	pthread_mutex_lock(&x->mutex);
	x->done++;
	pthread_cond_signal(&x->cond);
	pthread_mutex_unlock(&x->mutex);
}

static inline void wait_for_completion(struct completion *x)
{
	pthread_mutex_lock(&x->mutex);
	while (!x->done)
		pthread_cond_wait(&x->cond, &x->mutex);
	x->done--;
	pthread_mutex_unlock(&x->mutex);
}

#include "shim-user-list.h"

#endif /* DM_LIVE_SHIM_USER_H */
