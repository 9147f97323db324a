// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registry of mapped devices. A device holds what outlives a table, above all
 * the allocation bitmap, and knows which table is active.
 *
 * Device mapper constructs the new table while the old one runs, and destroys the
 * old one after the new one has resumed. So the constructor of a table finds the
 * device by the number of the mapped device, and each table holds a reference
 * until it is destroyed. With the last table the device goes: a server that is
 * still attached keeps the memory, but gets ENODEV.
 */
#include <linux/blkdev.h>
#include <linux/export.h>
#include <linux/slab.h>

#include "alloctrack.h"
#include "device.h"
#include "fault.h"
#include "stream.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/core/range-lock.h"

static DEFINE_MUTEX(registry_mutex);
static LIST_HEAD(registry);

static struct at_device *find(dev_t devt)
{
	struct at_device *device;

	lockdep_assert_held(&registry_mutex);
	list_for_each_entry(device, &registry, link)
		if (device->devt == devt)
			return device;
	return NULL;
}

static void release_device(struct kref *ref)
{
	struct at_device *device = container_of(ref, struct at_device, ref);

	at_faults_exit(device);
	dm_live_range_lock_destroy(device->ranges);
	dm_live_bitmap_destroy(device->copied);
	dm_live_bitmap_destroy(device->bitmap);
	kfree(device);
}

void at_device_put(struct at_device *device)
{
	kref_put(&device->ref, release_device);
}

static struct at_device *new_device(struct dm_target *ti, dev_t devt,
				    const struct at_geometry *geometry)
{
	struct at_device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	if (!device)
		return NULL;
	kref_init(&device->ref);
	INIT_LIST_HEAD(&device->link);
	device->devt = devt;
	strscpy(device->name, dm_table_device_name(ti->table),
		sizeof(device->name));
	device->geometry = *geometry;
	init_rwsem(&device->active_rwsem);
	init_waitqueue_head(&device->wait);
	at_faults_init(device);
	at_stream_init(device);
	device->bitmap = dm_live_bitmap_create(geometry->nr_blocks);
	device->copied = dm_live_bitmap_create(geometry->nr_blocks);
	device->ranges = dm_live_range_lock_create();
	if (!device->bitmap || !device->copied || !device->ranges) {
		at_device_put(device);
		return NULL;
	}
	return device;
}

static bool same_geometry(const struct at_geometry *a,
			  const struct at_geometry *b)
{
	return a->volume_devt == b->volume_devt && a->meta_devt == b->meta_devt &&
	       a->nr_sectors == b->nr_sectors &&
	       a->block_shift == b->block_shift;
}

static void add_table(struct at_device *device, const struct at_table *table)
{
	lockdep_assert_held(&registry_mutex);
	device->nr_tables++;
	device->nr_user_tables += table->backing == AT_BACKING_USER;
}

/*
 * The device with this number if it can be shared, NULL if a new one is needed, or
 * an error.
 */
static struct at_device *share(struct at_table *table, dev_t devt,
			       const struct at_geometry *geometry)
{
	struct at_device *device = find(devt);

	if (!device)
		return NULL;
	if (same_geometry(&device->geometry, geometry)) {
		kref_get(&device->ref);
		add_table(device, table);
		return device;
	}
	if (device->activated) {
		table->ti->error = "Not the devices, size and block size of the active table";
		return ERR_PTR(-EBUSY);
	}
	return NULL;
}

struct at_device *at_device_get(struct at_table *table,
				const struct at_geometry *geometry)
{
	struct dm_target *ti = table->ti;
	dev_t devt = disk_devt(dm_disk(dm_table_get_md(ti->table)));
	struct at_device *device, *fresh;

	mutex_lock(&registry_mutex);
	device = share(table, devt, geometry);
	mutex_unlock(&registry_mutex);
	if (device)
		return device;

	/*
	 * Allocate no memory under the mutex: reclaim may wait for a suspended
	 * device, whose resume needs the mutex.
	 */
	fresh = new_device(ti, devt, geometry);
	if (!fresh) {
		ti->error = "Cannot allocate the allocation bitmap";
		return ERR_PTR(-ENOMEM);
	}
	mutex_lock(&registry_mutex);
	device = share(table, devt, geometry);
	if (!device) {
		/* It replaces the device of a table that was loaded but never resumed. */
		device = find(devt);
		if (device)
			list_del_init(&device->link);
		device = fresh;
		add_table(device, table);
		list_add(&device->link, &registry);
	}
	mutex_unlock(&registry_mutex);
	if (device != fresh)
		at_device_put(fresh);
	return device;
}

void at_device_put_table(struct at_device *device, struct at_table *table)
{
	mutex_lock(&registry_mutex);
	if (device->owner == table) {
		device->owner = NULL;
		device->stale = true;
	}
	/* A parked device does not count this table as one with a server. */
	if (device == table->device)
		device->nr_user_tables -= table->backing == AT_BACKING_USER;
	if (!--device->nr_tables) {
		list_del_init(&device->link);
		WRITE_ONCE(device->gone, true);
		wake_up_all(&device->wait);
	}
	mutex_unlock(&registry_mutex);
	at_device_put(device);
}

/*
 * Device mapper destroys the old table even when the new one is refused. Keep its
 * device, so that a table that fits can still be loaded.
 */
static void park(struct at_table *table, struct at_device *device)
{
	lockdep_assert_held(&registry_mutex);
	if (table->parked)
		return;
	kref_get(&device->ref);
	device->nr_tables++;
	device->owner = table;
	table->parked = device;
}

int at_device_activate(struct at_table *table)
{
	struct at_device *device = table->device;
	struct at_device *other;
	int r = 0;

	mutex_lock(&registry_mutex);
	other = find(device->devt);
	if (other && other != device && other->activated) {
		DMERR("%s: the table does not fit the allocation bitmap: load one with the former devices, size and block size",
		      device->name);
		park(table, other);
		r = -EBUSY;
		goto unlock;
	}
	if (device->stale) {
		DMERR("%s: another target was active since the table was loaded: the allocation bitmap is out of date; load the table again",
		      device->name);
		r = -ESTALE;
		goto unlock;
	}
	if (other && other != device)
		list_del_init(&other->link);
	if (list_empty(&device->link))
		list_add(&device->link, &registry);
	device->activated = true;
	device->owner = table;
unlock:
	mutex_unlock(&registry_mutex);
	return r;
}

void at_device_abandon(struct at_table *table)
{
	mutex_lock(&registry_mutex);
	/* If it was ever in use, its bitmap is still worth keeping. */
	if (!table->device->applied)
		table->device->activated = false;
	mutex_unlock(&registry_mutex);
}

struct at_device *at_device_find(dev_t devt)
{
	struct at_device *device;

	mutex_lock(&registry_mutex);
	device = find(devt);
	if (device)
		kref_get(&device->ref);
	mutex_unlock(&registry_mutex);
	return device;
}

bool at_device_has_user_table(struct at_device *device)
{
	bool has;

	mutex_lock(&registry_mutex);
	has = device->nr_user_tables;
	mutex_unlock(&registry_mutex);
	return has;
}

void at_device_set_active(struct at_device *device, struct at_table *table)
{
	down_write(&device->active_rwsem);
	WRITE_ONCE(device->active, table);
	up_write(&device->active_rwsem);
	wake_up_all(&device->wait);
}
