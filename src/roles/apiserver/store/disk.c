#include "roles/apiserver/store/disk.h"

#include <sqlite3.h>
#include <stdio.h>

struct disk {
	sqlite3 *db;
	sqlite3_stmt *put, *del, *set_rv, *begin, *commit, *rollback;
};

/* SQLite's own words, and the way out where there is one. */
static int disk_error(struct disk *d, struct err *e, const char *what)
{
	int code = sqlite3_errcode(d->db);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return err_set(e, ERR_UNAVAILABLE,
			       "%s: the disk of the data directory is full: free some space", what);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(e, ERR_INTERNAL,
			       "%s: the database is damaged (%s): restore it from a copy, or move "
			       "it away to start empty",
			       what, sqlite3_errmsg(d->db));
	case SQLITE_BUSY:
		return err_set(e, ERR_INTERNAL, "%s: another API server is using the database",
			       what);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return err_set(e, ERR_INTERNAL,
			       "%s: %s: check the owner and mode of the data directory", what,
			       sqlite3_errmsg(d->db));
	default:
		return err_set(e, ERR_INTERNAL, "%s: %s", what, sqlite3_errmsg(d->db));
	}
}

static int run(struct disk *d, const char *sql, struct err *e, const char *what)
{
	return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : disk_error(d, e, what);
}

/* WAL with synchronous=FULL syncs the log at each commit: what COMMIT returned for survives power
 * loss. An exclusive lock keeps a second server out, and the WAL index out of shared memory. */
static const char *const setup[] = {
	"PRAGMA locking_mode=EXCLUSIVE",
	"PRAGMA journal_mode=WAL",
	"PRAGMA synchronous=FULL",
	"PRAGMA cache_size=-512",
	"CREATE TABLE IF NOT EXISTS object(key TEXT PRIMARY KEY, rv INTEGER NOT NULL, json BLOB "
	"NOT NULL) WITHOUT ROWID",
	"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
	"ROWID",
	"INSERT OR IGNORE INTO meta VALUES('format', 1), ('rv', 0)",
};

static int prepare_all(struct disk *d, struct err *e)
{
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} all[] = {
		{ &d->put, "INSERT INTO object VALUES(?1,?2,?3) ON CONFLICT(key) DO UPDATE SET "
			   "rv=?2, json=?3" },
		{ &d->del, "DELETE FROM object WHERE key=?1" },
		{ &d->set_rv, "UPDATE meta SET value=?1 WHERE name='rv'" },
		{ &d->begin, "BEGIN IMMEDIATE" },
		{ &d->commit, "COMMIT" },
		{ &d->rollback, "ROLLBACK" },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (sqlite3_prepare_v3(d->db, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
				       all[i].stmt, NULL) != SQLITE_OK)
			return disk_error(d, e, "preparing the store");
	return 0;
}

struct disk *disk_open(const char *path, struct err *e)
{
	struct disk *d = xcalloc(1, sizeof(*d));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	bool ok = sqlite3_open_v2(path, &d->db, flags, NULL) == SQLITE_OK;

	if (!ok)
		disk_error(d, e, path);
	for (size_t i = 0; ok && i < ARRAY_LEN(setup); i++)
		ok = run(d, setup[i], e, path) == 0;
	if (!ok || prepare_all(d, e) < 0) {
		disk_close(d);
		return NULL;
	}
	return d;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	sqlite3_stmt *all[] = { d->put, d->del, d->set_rv, d->begin, d->commit, d->rollback };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		sqlite3_finalize(all[i]);
	sqlite3_close(d->db);
	free(d);
}

static struct str column_str(sqlite3_stmt *s, int i)
{
	const void *p = sqlite3_column_blob(s, i);

	return (struct str){ p ? p : "", (size_t)sqlite3_column_bytes(s, i) };
}

static int load_rv(struct disk *d, uint64_t *ret_rv, struct err *e)
{
	sqlite3_stmt *s;
	int format = 0;

	if (sqlite3_prepare_v2(d->db, "SELECT name, value FROM meta", -1, &s, NULL) != SQLITE_OK)
		return disk_error(d, e, "reading the store");
	while (sqlite3_step(s) == SQLITE_ROW) {
		struct str name = column_str(s, 0);
		if (str_eq_c(name, "rv"))
			*ret_rv = (uint64_t)sqlite3_column_int64(s, 1);
		else if (str_eq_c(name, "format"))
			format = sqlite3_column_int(s, 1);
	}
	if (sqlite3_finalize(s) != SQLITE_OK)
		return disk_error(d, e, "reading the store");
	return format == 1
		       ? 0
		       : err_set(e, ERR_INTERNAL,
				 "the store has format %d; this portico knows format 1", format);
}

int disk_load(struct disk *d, void (*row)(void *ctx, struct str key, struct str json, uint64_t rv),
	      void *ctx, uint64_t *ret_rv, struct err *e)
{
	sqlite3_stmt *s;

	if (load_rv(d, ret_rv, e) < 0)
		return -1;
	if (sqlite3_prepare_v2(d->db, "SELECT key, json, rv FROM object ORDER BY key", -1, &s,
			       NULL) != SQLITE_OK)
		return disk_error(d, e, "reading the store");
	while (sqlite3_step(s) == SQLITE_ROW)
		row(ctx, column_str(s, 0), column_str(s, 1), (uint64_t)sqlite3_column_int64(s, 2));
	return sqlite3_finalize(s) == SQLITE_OK ? 0 : disk_error(d, e, "reading the store");
}

static bool step(sqlite3_stmt *s)
{
	bool ok = sqlite3_step(s) == SQLITE_DONE;

	return sqlite3_reset(s) == SQLITE_OK && ok;
}

static bool apply(struct disk *d, const struct disk_op *op)
{
	sqlite3_stmt *s = op->json.ptr ? d->put : d->del;

	sqlite3_bind_text(s, 1, op->key, -1, SQLITE_STATIC);
	if (op->json.ptr) {
		sqlite3_bind_int64(s, 2, (sqlite3_int64)op->rv);
		sqlite3_bind_blob(s, 3, op->json.ptr, (int)op->json.len, SQLITE_STATIC);
	}
	return step(s);
}

int disk_commit(struct disk *d, const struct disk_op *ops, size_t n, uint64_t last_rv,
		struct err *e)
{
	bool ok = step(d->begin);

	for (size_t i = 0; ok && i < n; i++)
		ok = apply(d, &ops[i]);
	if (ok) {
		sqlite3_bind_int64(d->set_rv, 1, (sqlite3_int64)last_rv);
		ok = step(d->set_rv) && step(d->commit);
	}
	if (ok)
		return 0;
	disk_error(d, e, "writing the store");
	if (!sqlite3_get_autocommit(d->db))
		step(d->rollback);
	return -1;
}
