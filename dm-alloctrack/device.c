// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registry of mapped devices, and what of them outlives a table: the
 * allocation bitmap above all.
 *
 * Device mapper makes the new table while the old one runs, and destroys the
 * old one after the new one has resumed. So a device is found by the number of
 * the mapped device when a table is constructed, and every table holds it until
 * it is destroyed. When the last table goes, the device is gone: a server that
 * is still attached holds the memory, but gets ENODEV.
 */
#include <linux/blkdev.h>
#include <linux/export.h>
#include <linux/slab.h>

#include "alloctrack.h"

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
	device->ranges = dm_live_range_lock_create();
	if (!device->bitmap || !device->ranges) {
		at_device_put(device);
		return NULL;
	}
	return device;
}

static bool same_geometry(const struct at_geometry *a,
			  const struct at_geometry *b)
{
	return a->file_devt == b->file_devt && a->meta_devt == b->meta_devt &&
	       a->nr_sectors == b->nr_sectors &&
	       a->block_shift == b->block_shift;
}

struct at_device *at_device_get(struct dm_target *ti,
				const struct at_geometry *geometry)
{
	dev_t devt = disk_devt(dm_disk(dm_table_get_md(ti->table)));
	struct at_device *device;

	mutex_lock(&registry_mutex);
	device = find(devt);
	if (device && same_geometry(&device->geometry, geometry)) {
		kref_get(&device->ref);
		goto found;
	}
	if (device && device->activated) {
		ti->error = "Not the file device, metadata device, size and block size of the active table";
		device = ERR_PTR(-EBUSY);
		goto unlock;
	}

	/* A table that was loaded but never resumed is superseded. */
	if (device)
		list_del_init(&device->link);
	device = new_device(ti, devt, geometry);
	if (!device) {
		ti->error = "Cannot allocate the allocation bitmap";
		device = ERR_PTR(-ENOMEM);
		goto unlock;
	}
	list_add(&device->link, &registry);
found:
	device->nr_tables++;
unlock:
	mutex_unlock(&registry_mutex);
	return device;
}

void at_device_put_table(struct at_device *device)
{
	mutex_lock(&registry_mutex);
	if (!--device->nr_tables) {
		list_del_init(&device->link);
		WRITE_ONCE(device->gone, true);
		wake_up_all(&device->wait);
	}
	mutex_unlock(&registry_mutex);
	at_device_put(device);
}

int at_device_activate(struct at_table *table)
{
	struct at_device *device = table->device;
	struct at_device *current_device;
	int r = 0;

	mutex_lock(&registry_mutex);
	current_device = find(device->devt);
	if (current_device && current_device != device) {
		if (current_device->activated) {
			/*
			 * Device mapper destroys the old table even when the
			 * new one is refused. Keep what it knows, so that a
			 * table that fits can still be loaded.
			 */
			if (!table->parked) {
				kref_get(&current_device->ref);
				current_device->nr_tables++;
				table->parked = current_device;
			}
			r = -EBUSY;
			goto unlock;
		}
		list_del_init(&current_device->link);
	}
	if (list_empty(&device->link))
		list_add(&device->link, &registry);
	device->activated = true;
unlock:
	mutex_unlock(&registry_mutex);
	return r;
}

void at_device_abandon(struct at_table *table)
{
	mutex_lock(&registry_mutex);
	/* Was it ever in use, then its bitmap is still worth keeping. */
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

void at_device_set_active(struct at_device *device, struct at_table *table)
{
	down_write(&device->active_rwsem);
	WRITE_ONCE(device->active, table);
	up_write(&device->active_rwsem);
	wake_up_all(&device->wait);
}

bool at_device_is_full(const struct at_device *device)
{
	return dm_live_bitmap_weight(device->bitmap) ==
	       device->geometry.nr_blocks;
}

u64 at_set_allocated(struct at_table *table, u64 first, u64 nr)
{
	struct at_device *device = table->device;
	u64 changed = dm_live_bitmap_set_range(device->bitmap, first, nr);

	if (!changed)
		return 0;
	if (table->store)
		dm_live_store_changed(table->store);
	if (at_device_is_full(device))
		queue_work(table->fill_wq, &table->complete_work);
	return changed;
}
