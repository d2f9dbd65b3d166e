#include "fuzz.h"

#include "base/check.h"
#include "migrate/sql_split.h"

/* Every statement is a part of the file, in order, not empty; only blanks, comments and semicolons
 * are left out; lines count up. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sql_statement statement;
	struct sql_split split;
	const uint8_t *end = data;
	int line = 1;

	sql_split_init(&split, slice_of(data, size));
	while (sql_split_next(&split, &statement)) {
		CHECK(statement.text.size > 0);
		CHECK(statement.text.data >= end);
		CHECK(statement.text.data + statement.text.size <= data + size);
		CHECK(statement.line >= line);
		CHECK(sql_line_at(&statement, 1) == statement.line);
		CHECK(sql_line_at(&statement, (long)size + 2) >= statement.line);
		(void)sql_is_transaction_control(statement.text);
		end = statement.text.data + statement.text.size;
		line = statement.line;
	}
	return 0;
}
