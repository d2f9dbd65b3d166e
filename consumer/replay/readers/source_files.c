#include "replay/readers/source.h"

#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FILES_MAX = 1 << 20 };

static bool files_add(struct replay_files *files, const char *path, int64_t bytes,
	struct error *err)
{
	char **grown = files->count >= FILES_MAX
			       ? NULL
			       : realloc(files->paths, (files->count + 1) * sizeof(*grown));

	if (grown == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "too many files");
	files->paths = grown;
	grown[files->count] = strdup(path);
	if (grown[files->count] == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	files->count++;
	files->bytes += bytes;
	return true;
}

static int files_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool files_is_segment(const char *name)
{
	const char *dot = strstr(name, ".seg");

	return dot != NULL && (dot[4] == '\0' || strcmp(dot + 4, ".zst") == 0);
}

/* What went away meanwhile, or is not a file, is left out: a link to nothing, a folder, a pipe. */
static bool files_add_entry(struct replay_files *files, const char *path, const char *name,
	struct error *err)
{
	struct stat status;
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s/%s", path, name) >= (int)sizeof(file))
		return error_set(err, ERROR_FATAL, REASON_file, "\"%s/%s\" is too long a name",
			path, name);
	if (stat(file, &status) != 0)
		return errno == ENOENT || error_set_errno(err, ERROR_FATAL, REASON_file,
						  "could not look at \"%s\"", file);
	return !S_ISREG(status.st_mode) || files_add(files, file, status.st_size, err);
}

/* Files of a log that are not read: those without messages, unfinished ones, and damaged segments
 * that were set aside. */
static bool files_is_of_log(const char *name)
{
	static const char *const names[] = {"closed", "identity", "identity.new", "lock", "reserve",
		"session", "subscriptions"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return cstr_ends_with(name, ".tmp") || cstr_ends_with(name, ".bad");
}

/* log: the folder is that of a log. It may have other files with messages besides. */
static bool files_add_entries(struct replay_files *files, const char *path, DIR *dir, bool log,
	struct error *err)
{
	const char *name;

	do {
		if (!fs_next_name(dir, path, &name, err))
			return false;
		if (name == NULL || name[0] == '.' || (log && files_is_of_log(name)))
			continue;
		if (!files_add_entry(files, path, name, err))
			return false;
	} while (name != NULL);
	return true;
}

static bool files_has_segments(const char *path, DIR *dir, bool *out, struct error *err)
{
	const char *name = NULL;

	*out = false;
	do {
		if (!fs_next_name(dir, path, &name, err))
			return false;
		*out = name != NULL && files_is_segment(name);
	} while (name != NULL && !*out);
	rewinddir(dir);
	return true;
}

static bool files_add_folder(struct replay_files *files, const char *path, struct error *err)
{
	size_t first = files->count;
	bool segments, ok;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return error_set_errno(err, ERROR_FATAL, REASON_file,
			"could not open the folder \"%s\"", path);
	ok = files_has_segments(path, dir, &segments, err) &&
	     files_add_entries(files, path, dir, segments, err);
	if (!ok)
		(void)error_becomes(err, ERROR_FATAL, REASON_file);
	closedir(dir);
	/* A disk that is not mounted is an empty folder. */
	if (ok && files->count == first) {
		error_set(err, ERROR_FATAL, REASON_file, "the folder \"%s\" has no files", path);
		return error_hint(err, "is its disk mounted?");
	}
	if (ok)
		qsort(files->paths + first, files->count - first, sizeof(*files->paths),
			files_order);
	return ok;
}

static bool files_add_argument(struct replay_files *files, const char *path, struct error *err)
{
	struct stat status;

	if (strcmp(path, "-") == 0)
		return files_add(files, path, 0, err);
	if (stat(path, &status) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_file, "could not open \"%s\"",
			path);
	if (S_ISDIR(status.st_mode))
		return files_add_folder(files, path, err);
	return files_add(files, path, S_ISREG(status.st_mode) ? status.st_size : 0, err);
}

bool replay_files_find(struct replay_files *out, char *const *arguments, size_t count,
	struct error *err)
{
	*out = (struct replay_files){.paths = NULL};
	for (size_t i = 0; i < count; i++) {
		if (!files_add_argument(out, arguments[i], err)) {
			replay_files_free(out);
			return false;
		}
	}
	return true;
}

void replay_files_free(struct replay_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->paths[i]);
	free(files->paths);
	*files = (struct replay_files){.paths = NULL};
}
