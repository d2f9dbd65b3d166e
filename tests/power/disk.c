#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	DISK_SECTOR_BYTES = 512,
	DISK_FILES_MAX = 4096,
	DISK_NAME_BYTES = 64,
};

enum disk_kind { DISK_CREATE, DISK_WRITE, DISK_SIZE, DISK_RENAME, DISK_UNLINK, DISK_SYNC };

struct disk_call {
	enum disk_kind kind;
	int file;   /* -1: the folder */
	size_t end; /* SYNC: of the calls that it is about */
	int64_t offset, size;
	uint8_t *bytes;
	char name[DISK_NAME_BYTES], to[DISK_NAME_BYTES];
};

/* A file with what is on disk of it, while a cut is made. */
struct disk_file {
	ino_t inode;
	uint8_t *begin; /* when the recording began */
	int64_t begin_size;
};

struct disk_names {
	struct disk_name {
		char name[DISK_NAME_BYTES];
		int file;
	} all[DISK_FILES_MAX];
	size_t count;
};

static struct {
	pthread_mutex_t mutex;
	bool recording;
	enum disk_fault fault;
	char folder[PATH_MAX];
	ino_t folder_inode;
	struct disk_call *calls;
	size_t count, room;
	struct disk_file files[DISK_FILES_MAX];
	int files_count;
	struct disk_names begin, now;
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER};

#define DISK_CHECK(holds)                                                                          \
	do {                                                                                       \
		if (!(holds)) {                                                                    \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #holds,             \
				strerror(errno));                                                  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int __real_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
int __real_ftruncate(int fd, off_t size);
int __real_ftruncate64(int fd, off_t size);
int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_fallocate64(int fd, int mode, off_t offset, off_t size);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __real_unlink(const char *path);
int __real_fdatasync(int fd);
int __real_fsync(int fd);

uint64_t disk_random(uint64_t *random, uint64_t below)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % below;
}

/* ---- names ---- */

static struct disk_name *names_find(struct disk_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++) {
		if (strcmp(names->all[i].name, name) == 0)
			return &names->all[i];
	}
	return NULL;
}

static void names_remove(struct disk_names *names, const char *name)
{
	struct disk_name *found = names_find(names, name);

	if (found != NULL)
		*found = names->all[--names->count];
}

static void names_set(struct disk_names *names, const char *name, int file)
{
	names_remove(names, name);
	DISK_CHECK(names->count < DISK_FILES_MAX);
	names->all[names->count].file = file;
	snprintf(names->all[names->count++].name, DISK_NAME_BYTES, "%s", name);
}

/* A name that is another file's by then, because what came between was not kept, stays. */
static void names_apply(struct disk_names *names, const struct disk_call *c)
{
	const struct disk_name *found = names_find(names, c->name);

	if (c->kind != DISK_CREATE && found != NULL && found->file == c->file)
		names_remove(names, c->name);
	if (c->kind == DISK_CREATE)
		names_set(names, c->name, c->file);
	if (c->kind == DISK_RENAME)
		names_set(names, c->to, c->file);
}

/* ---- recording ---- */

/* The name of a file in the folder; NULL if it is elsewhere. */
static const char *disk_name_of(const char *path)
{
	size_t size = strlen(disk.folder);

	if (!disk.recording || strncmp(path, disk.folder, size) != 0 || path[size] != '/')
		return NULL;
	DISK_CHECK(
		strchr(path + size + 1, '/') == NULL && strlen(path + size + 1) < DISK_NAME_BYTES);
	return path + size + 1;
}

/* Inodes are used again: the newest is meant. */
static int disk_file_of(int fd)
{
	struct stat st;

	if (!disk.recording || fstat(fd, &st) != 0)
		return -1;
	for (int i = disk.files_count - 1; i >= 0; i--) {
		if (disk.files[i].inode == st.st_ino)
			return i;
	}
	return -1;
}

static int disk_new_file(ino_t inode)
{
	DISK_CHECK(disk.files_count < DISK_FILES_MAX);
	disk.files[disk.files_count] = (struct disk_file){.inode = inode};
	return disk.files_count++;
}

static struct disk_call *disk_add(enum disk_kind kind, int file)
{
	if (disk.count == disk.room) {
		disk.room = disk.room == 0 ? 1024 : disk.room * 2;
		disk.calls = realloc(disk.calls, disk.room * sizeof(*disk.calls));
		DISK_CHECK(disk.calls != NULL);
	}
	disk.calls[disk.count] = (struct disk_call){.kind = kind, .file = file};
	return &disk.calls[disk.count++];
}

/* file: of a name that is new; others are known. */
static void disk_add_names(enum disk_kind kind, int file, const char *name, const char *to)
{
	const struct disk_name *known = names_find(&disk.now, name);
	struct disk_call *c;

	if (known != NULL)
		file = known->file;
	DISK_CHECK(file >= 0);
	c = disk_add(kind, file);

	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->to, sizeof(c->to), "%s", to);
	names_apply(&disk.now, c);
}

size_t disk_calls(void)
{
	size_t count;

	pthread_mutex_lock(&disk.mutex);
	count = disk.count;
	pthread_mutex_unlock(&disk.mutex);
	return count;
}

void disk_stop(void)
{
	pthread_mutex_lock(&disk.mutex);
	disk.recording = false;
	pthread_mutex_unlock(&disk.mutex);
}

static void disk_forget(void)
{
	for (size_t i = 0; i < disk.count; i++)
		free(disk.calls[i].bytes);
	for (int i = 0; i < disk.files_count; i++)
		free(disk.files[i].begin);
	disk.count = 0;
	disk.files_count = 0;
	disk.begin.count = 0;
}

/* A file that is there when the recording begins. */
static void disk_begin_file(const char *path, const char *name)
{
	int fd = __real_open(path, O_RDONLY | O_CLOEXEC), file;
	struct stat st;

	DISK_CHECK(fd >= 0 && fstat(fd, &st) == 0);
	file = disk_new_file(st.st_ino);
	disk.files[file].begin = malloc((size_t)st.st_size + 1);
	disk.files[file].begin_size = st.st_size;
	DISK_CHECK(read(fd, disk.files[file].begin, (size_t)st.st_size) == st.st_size);
	close(fd);
	names_set(&disk.begin, name, file);
}

void disk_record(const char *folder, enum disk_fault fault)
{
	char path[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	DIR *opened;

	disk_stop();
	pthread_mutex_lock(&disk.mutex);
	disk_forget();
	snprintf(disk.folder, sizeof(disk.folder), "%s", folder);
	opened = opendir(folder);
	DISK_CHECK(opened != NULL && fstat(dirfd(opened), &st) == 0);
	disk.folder_inode = st.st_ino;
	while ((entry = readdir(opened)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] != '.')
			disk_begin_file(path, entry->d_name);
	}
	closedir(opened);
	disk.now = disk.begin;
	disk.fault = fault;
	disk.recording = true;
	pthread_mutex_unlock(&disk.mutex);
}

/* ---- the calls ---- */

static int disk_opened(int fd, const char *path, int flags)
{
	const char *name;
	struct stat st;

	pthread_mutex_lock(&disk.mutex);
	name = disk_name_of(path);
	if (fd >= 0 && name != NULL && (flags & O_CREAT) != 0 &&
		names_find(&disk.now, name) == NULL) {
		DISK_CHECK(fstat(fd, &st) == 0);
		disk_add_names(DISK_CREATE, disk_new_file(st.st_ino), name, "");
	}
	DISK_CHECK(name == NULL || (flags & O_TRUNC) == 0); /* nobody does that */
	pthread_mutex_unlock(&disk.mutex);
	return fd;
}

static ssize_t disk_wrote(int fd, const void *data, ssize_t size, off_t offset)
{
	int file;

	pthread_mutex_lock(&disk.mutex);
	file = disk_file_of(fd);
	if (size > 0 && file >= 0) {
		struct disk_call *c = disk_add(DISK_WRITE, file);

		c->offset = offset;
		c->size = size;
		c->bytes = malloc((size_t)size);
		DISK_CHECK(c->bytes != NULL);
		memcpy(c->bytes, data, (size_t)size);
	}
	pthread_mutex_unlock(&disk.mutex);
	return size;
}

static int disk_resized(int fd, int result)
{
	struct stat st;
	int file;

	pthread_mutex_lock(&disk.mutex);
	file = disk_file_of(fd);
	if (result == 0 && file >= 0) {
		DISK_CHECK(fstat(fd, &st) == 0);
		disk_add(DISK_SIZE, file)->size = st.st_size;
	}
	pthread_mutex_unlock(&disk.mutex);
	return result;
}

/* What was done before it began, by whoever, is what it is about. */
static int disk_sync(int fd, int (*real)(int fd))
{
	struct stat st;
	size_t end = disk_calls();
	int result = real(fd), file;
	bool folder;

	pthread_mutex_lock(&disk.mutex);
	file = disk_file_of(fd);
	folder = disk.recording && fstat(fd, &st) == 0 && st.st_ino == disk.folder_inode;
	if (result == 0 && ((file >= 0 && disk.fault != DISK_NO_DATA_SYNC) ||
				   (folder && disk.fault != DISK_NO_FOLDER_SYNC)))
		disk_add(DISK_SYNC, folder ? -1 : file)->end = end;
	pthread_mutex_unlock(&disk.mutex);
	return result;
}

static mode_t disk_mode(int flags, va_list arguments)
{
	return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define DISK_WRAP_OPEN(name)                                                                       \
	int __wrap_##name(const char *path, int flags, ...);                                       \
	int __wrap_##name(const char *path, int flags, ...)                                        \
	{                                                                                          \
		va_list arguments;                                                                 \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(arguments, flags);                                                        \
		mode = disk_mode(flags, arguments);                                                \
		va_end(arguments);                                                                 \
		return disk_opened(__real_##name(path, flags, mode), path, flags);                 \
	}

#define DISK_WRAP_PWRITE(name)                                                                     \
	ssize_t __wrap_##name(int fd, const void *data, size_t size, off_t offset);                \
	ssize_t __wrap_##name(int fd, const void *data, size_t size, off_t offset)                 \
	{                                                                                          \
		return disk_wrote(fd, data, __real_##name(fd, data, size, offset), offset);        \
	}

#define DISK_WRAP_FTRUNCATE(name)                                                                  \
	int __wrap_##name(int fd, off_t size);                                                     \
	int __wrap_##name(int fd, off_t size)                                                      \
	{                                                                                          \
		return disk_resized(fd, __real_##name(fd, size));                                  \
	}

#define DISK_WRAP_FALLOCATE(name)                                                                  \
	int __wrap_##name(int fd, int mode, off_t offset, off_t size);                             \
	int __wrap_##name(int fd, int mode, off_t offset, off_t size)                              \
	{                                                                                          \
		return disk_resized(fd, __real_##name(fd, mode, offset, size));                    \
	}

#define DISK_WRAP_SYNC(name)                                                                       \
	int __wrap_##name(int fd);                                                                 \
	int __wrap_##name(int fd)                                                                  \
	{                                                                                          \
		return disk_sync(fd, __real_##name);                                               \
	}

DISK_WRAP_OPEN(open)
DISK_WRAP_OPEN(open64)
DISK_WRAP_PWRITE(pwrite)
DISK_WRAP_PWRITE(pwrite64)
DISK_WRAP_FTRUNCATE(ftruncate)
DISK_WRAP_FTRUNCATE(ftruncate64)
DISK_WRAP_FALLOCATE(fallocate)
DISK_WRAP_FALLOCATE(fallocate64)
DISK_WRAP_SYNC(fdatasync)
DISK_WRAP_SYNC(fsync)

static int disk_renamed(int result, const char *from, const char *to)
{
	const char *name, *name_to;

	pthread_mutex_lock(&disk.mutex);
	name = disk_name_of(from);
	name_to = disk_name_of(to);
	DISK_CHECK((name == NULL) == (name_to == NULL));
	if (result == 0 && name != NULL)
		disk_add_names(DISK_RENAME, -1, name, name_to);
	pthread_mutex_unlock(&disk.mutex);
	return result;
}

int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	return disk_renamed(__real_rename(from, to), from, to);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return disk_renamed(__real_renameat2(from_fd, from, to_fd, to, flags), from, to);
}

int __wrap_unlink(const char *path);
int __wrap_unlink(const char *path)
{
	int result = __real_unlink(path);
	const char *name;

	pthread_mutex_lock(&disk.mutex);
	name = disk_name_of(path);
	if (result == 0 && name != NULL)
		disk_add_names(DISK_UNLINK, -1, name, "");
	pthread_mutex_unlock(&disk.mutex);
	return result;
}

/* ---- the cut ---- */

/* What becomes of the calls that no sync was about. */
enum disk_kept { DISK_KEPT_NONE, DISK_KEPT_ALL, DISK_KEPT_FIRST, DISK_KEPT_SOME, DISK_KEPTS };

struct disk_luck {
	enum disk_kept kept;
	uint64_t first; /* DISK_KEPT_FIRST: of 8, how many of them */
};

static struct disk_luck disk_luck(uint64_t *random)
{
	return (struct disk_luck){.kept = (enum disk_kept)disk_random(random, DISK_KEPTS),
		.first = disk_random(random, 8)};
}

static bool disk_keeps(struct disk_luck luck, size_t i, size_t pending, uint64_t *random)
{
	switch (luck.kept) {
	case DISK_KEPT_NONE:
		return false;
	case DISK_KEPT_ALL:
		return true;
	case DISK_KEPT_FIRST:
		return i < pending * luck.first / 8;
	case DISK_KEPT_SOME:
	case DISK_KEPTS:
		break;
	}
	return disk_random(random, 2) == 0;
}

/* The calls before it are on disk: the end of the last sync of that file (-1: of the names). */
static size_t disk_synced(int file, size_t calls)
{
	size_t end = 0;

	for (size_t i = 0; i < calls; i++) {
		const struct disk_call *c = &disk.calls[i];

		if (c->kind == DISK_SYNC && c->file == file && c->end > end)
			end = c->end;
	}
	return end;
}

static bool disk_is_about(const struct disk_call *c, int file)
{
	if (file < 0)
		return c->kind == DISK_CREATE || c->kind == DISK_RENAME || c->kind == DISK_UNLINK;
	return c->file == file && (c->kind == DISK_WRITE || c->kind == DISK_SIZE);
}

struct disk_content {
	uint8_t *bytes;
	int64_t size, room;
};

static void content_resize(struct disk_content *c, int64_t size)
{
	if (size > c->room) {
		c->bytes = realloc(c->bytes, (size_t)size);
		DISK_CHECK(c->bytes != NULL);
		memset(c->bytes + c->room, 0, (size_t)(size - c->room));
		c->room = size;
	}
	if (size < c->size)
		memset(c->bytes + size, 0, (size_t)(c->size - size));
	c->size = size;
}

/* torn: each sector of it is there or not, by itself. */
static void content_apply(struct disk_content *content, const struct disk_call *c, bool torn,
	uint64_t *random)
{
	int64_t at = c->offset, end = c->offset + c->size;

	if (c->kind == DISK_SIZE) {
		content_resize(content, c->size);
		return;
	}
	while (at < end) {
		int64_t next = (at / DISK_SECTOR_BYTES + 1) * DISK_SECTOR_BYTES;

		if (next > end)
			next = end;
		if (!torn || disk_random(random, 2) == 0) {
			if (next > content->size)
				content_resize(content, next);
			memcpy(content->bytes + at, c->bytes + (at - c->offset),
				(size_t)(next - at));
		}
		at = next;
	}
}

static struct disk_content disk_cut_file(int file, size_t calls, uint64_t *random)
{
	struct disk_content content = {0};
	struct disk_luck luck = disk_luck(random);
	bool tears = disk_random(random, 2) == 0;
	size_t synced = disk_synced(file, calls), pending = 0, n = 0;

	content_resize(&content, disk.files[file].begin_size);
	if (content.size > 0)
		memcpy(content.bytes, disk.files[file].begin, (size_t)content.size);
	for (size_t i = synced; i < calls; i++)
		pending += disk_is_about(&disk.calls[i], file);
	for (size_t i = 0; i < calls; i++) {
		const struct disk_call *c = &disk.calls[i];

		if (!disk_is_about(c, file))
			continue;
		if (i < synced)
			content_apply(&content, c, false, random);
		else if (disk_keeps(luck, n++, pending, random))
			content_apply(&content, c, tears, random);
	}
	return content;
}

static void disk_cut_names(struct disk_names *names, size_t calls, uint64_t *random)
{
	struct disk_luck luck = disk_luck(random);
	size_t synced = disk_synced(-1, calls), pending = 0, n = 0;

	*names = disk.begin;
	for (size_t i = synced; i < calls; i++)
		pending += disk_is_about(&disk.calls[i], -1);
	for (size_t i = 0; i < calls; i++) {
		const struct disk_call *c = &disk.calls[i];

		if (disk_is_about(c, -1) && (i < synced || disk_keeps(luck, n++, pending, random)))
			names_apply(names, c);
	}
}

void disk_cut(const char *folder, size_t calls, uint64_t *random)
{
	static struct disk_names names;
	char path[PATH_MAX];

	DISK_CHECK(!disk.recording && calls <= disk.count);
	disk_cut_names(&names, calls, random);
	for (size_t i = 0; i < names.count; i++) {
		struct disk_content content = disk_cut_file(names.all[i].file, calls, random);
		int fd;

		snprintf(path, sizeof(path), "%s/%s", folder, names.all[i].name);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		DISK_CHECK(fd >= 0 && ftruncate(fd, content.size) == 0);
		DISK_CHECK(content.size == 0 ||
			   pwrite(fd, content.bytes, (size_t)content.size, 0) == content.size);
		close(fd);
		free(content.bytes);
	}
}
