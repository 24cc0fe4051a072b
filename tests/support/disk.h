/* disk.h -- what a dead server left in its data directory
 *
 * Opens the databases as SQLite would after the crash and leaves them as they were, but for
 * disk_change: nothing is checkpointed, so that the server that starts next has to recover by
 * itself. Only while no server runs there. */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Are both databases sound (PRAGMA integrity_check, foreign_key_check)? The first complaint is
 * printed. */
bool disk_sound(const char *dir);

/* The one number that `sql` selects with descent.db as main and bulk.db attached as bulk; -1 when
 * it cannot. */
int64_t disk_number(const char *dir, const char *sql);

/* Run statements on both, named as above; false when it cannot. */
bool disk_change(const char *dir, const char *sql);

/* Remove DIR/datasets, where uploaded files are. */
void disk_remove_uploads(const char *dir);

#endif
