#include "mutate.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/msgpack_text.h"

#include <stdlib.h>
#include <string.h>

enum {
	NODES_MAX = 1024,
	DEPTH_MAX = 30, /* what msgpack-c takes */
	TEXT_BYTES_MAX = 4096,
	OUT_BYTES_MAX = 1 << 16,
	MUTATIONS_MAX = 4,
};

enum node_kind { LEAF, LIST, MAP };

/* A value, as the token it was in JSON (LEAF) or as its first value. Values of a map have a key. */
struct node {
	enum node_kind kind;
	struct slice key;
	struct slice token;
	unsigned first, next; /* indexes of nodes; 0: none */
};

struct tree {
	struct node nodes[NODES_MAX]; /* the first is not used */
	unsigned count;
	uint8_t texts[TEXT_BYTES_MAX * MUTATIONS_MAX];
	size_t texts_used;
	unsigned seed;
};

struct out {
	uint8_t bytes[OUT_BYTES_MAX];
	size_t size;
	bool full;
};

/* What stations send, and what they should not; all of it JSON. */
static const char *const words[] = {"null", "true", "0", "-0", "1", "2", "3", "4", "5", "-1",
	"1e400", "0.1e-7", "9223372036854775808", "123456789012345678901234567890", "1.0", "1.5e3",
	"{}", "[]", "\"\"", "\" \"", "\"\\u0000\"", "\"\\ud800\"", "\"\xe2\x80\xae\"", "\"NaN\"",
	"\"1532.50\"", "\"1,5\"", "\"0x10\"", "\"Infinity\"", "\"2026-01-31T10:00:00Z\"",
	"\"2026-01-31T10:00:00.123456789+14:00\"", "\"2026-02-30T24:00:60Z\"",
	"\"1970-01-01T00:00:00Z\"", "\"9999-12-31T23:59:59Z\"", "\"2026-01-31 10:00\"",
	"\"Heartbeat\"", "\"BootNotification\"", "\"Authorize\"", "\"StartTransaction\"",
	"\"StopTransaction\"", "\"MeterValues\"", "\"StatusNotification\"", "\"TransactionEvent\"",
	"\"DataTransfer\"", "\"NotifyEvent\"", "\"NotifyReport\"", "\"ChangeConfiguration\"",
	"\"SetVariables\"", "\"GetVariables\"", "\"SecurityEventNotification\"",
	"\"FirmwareStatusNotification\"", "\"RemoteStartTransaction\"",
	"\"RequestStartTransaction\"", "\"Energy.Active.Import.Register\"",
	"\"Power.Active.Import\"", "\"SoC\"", "\"Wh\"", "\"kWh\"", "\"L1-N\"", "\"SignedData\"",
	"\"Started\"", "\"Updated\"", "\"Ended\"", "\"Accepted\"", "\"Available\"",
	"\"Transaction.Begin\"", "\"EVDisconnected\""};

/* Keys that decide what becomes of a message. */
static const char *const keys[] = {"\"type\"", "\"action\"", "\"id\"", "\"request\"",
	"\"response\"", "\"error_code\"", "\"timestamp\"", "\"meterValue\"", "\"sampledValue\"",
	"\"value\"", "\"unit\"", "\"unitOfMeasure\"", "\"multiplier\"", "\"transactionId\"",
	"\"transactionInfo\"", "\"connectorId\"", "\"evse\"", "\"evseId\"", "\"idTag\"",
	"\"idToken\"", "\"idTagInfo\"", "\"meterStart\"", "\"meterStop\"", "\"seqNo\"",
	"\"eventType\"", "\"status\"", "\"customData\"", "\"additionalInfo\""};

static unsigned pick(struct tree *t, unsigned count)
{
	t->seed = t->seed * 1664525U + 1013904223U;
	return (unsigned)(((uint64_t)(t->seed >> 8) * count) >> 24);
}

static unsigned node_new(struct tree *t, enum node_kind kind, struct slice token)
{
	if (t->count == NODES_MAX - 1)
		return 0;
	t->nodes[++t->count] = (struct node){.kind = kind, .token = token};
	return t->count;
}

static bool is_one_of(uint8_t byte, const char *bytes)
{
	return byte != '\0' && strchr(bytes, byte) != NULL;
}

/* The size of the token at the beginning of a text: a string, or all up to what ends a value. 0: it
 * does not end. */
static size_t token_size(struct slice text)
{
	bool string = text.data[0] == '"';

	for (size_t i = string; i < text.size; i++) {
		if (string && text.data[i] == '\\')
			i++;
		else if (string && text.data[i] == '"')
			return i + 1;
		else if (!string && is_one_of(text.data[i], " \t\r\n,:[]{}\""))
			return i;
	}
	return string ? 0 : text.size;
}

/* Where reading is. */
struct reading {
	unsigned open[DEPTH_MAX]; /* lists and maps that have not ended */
	unsigned last[DEPTH_MAX]; /* of each, the value added last */
	size_t depth;
	struct slice key; /* read, and its value not yet */
};

static void add(struct tree *t, struct reading *r, unsigned node)
{
	unsigned *last = &r->last[r->depth - 1];

	t->nodes[node].key = r->key;
	r->key = (struct slice){0};
	if (*last == 0)
		t->nodes[r->open[r->depth - 1]].first = node;
	else
		t->nodes[*last].next = node;
	*last = node;
}

/* A value or a key begins. Returns its size, 0 if it is too much. */
static size_t read_token(struct tree *t, struct reading *r, struct slice left)
{
	bool opens = left.data[0] == '[' || left.data[0] == '{';
	size_t size = opens ? 1 : token_size(left);
	unsigned node;

	if (size == 0 || (r->depth == 0 && t->count > 0))
		return 0;
	if (r->depth > 0 && t->nodes[r->open[r->depth - 1]].kind == MAP &&
		slice_is_absent(r->key)) {
		r->key = slice_of(left.data, size);
		return left.data[0] == '"' ? size : 0;
	}
	node = node_new(t,
		!opens                ? LEAF
		: left.data[0] == '[' ? LIST
				      : MAP,
		slice_of(left.data, size));
	if (node == 0 || (opens && r->depth == DEPTH_MAX))
		return 0;
	if (r->depth > 0)
		add(t, r, node);
	if (opens) {
		r->open[r->depth] = node;
		r->last[r->depth++] = 0;
	}
	return size;
}

/* Knows commas and colons only as what separates values: what is written has them where they
 * belong. */
static bool read_tree(struct tree *t, struct slice text)
{
	static struct reading r;

	r.depth = 0;
	r.key = (struct slice){0};
	while (text.size > 0) {
		size_t size = 1;

		if (text.data[0] == ']' || text.data[0] == '}') {
			if (r.depth == 0 || !slice_is_absent(r.key))
				return false;
			r.depth--;
		} else if (!is_one_of(text.data[0], " \t\r\n,:")) {
			size = read_token(t, &r, text);
		}
		if (size == 0)
			return false;
		text = slice_skip(text, size);
	}
	return t->count > 0 && r.depth == 0;
}

static void put(struct out *out, const void *bytes, size_t size)
{
	out->full = out->full || size > sizeof(out->bytes) - out->size;
	if (out->full || size == 0)
		return;
	memcpy(out->bytes + out->size, bytes, size);
	out->size += size;
}

static void write_json(struct out *out, const struct tree *t, unsigned node, size_t depth)
{
	const struct node *n = &t->nodes[node];

	if (n->kind == LEAF || depth == DEPTH_MAX) {
		put(out, n->kind == LEAF ? n->token.data : (const uint8_t *)"0",
			n->kind == LEAF ? n->token.size : 1);
		return;
	}
	put(out, n->kind == LIST ? "[" : "{", 1);
	for (unsigned child = n->first; child != 0 && !out->full; child = t->nodes[child].next) {
		struct slice key = t->nodes[child].key;

		if (child != n->first)
			put(out, ",", 1);
		if (n->kind == MAP) {
			put(out, slice_is_absent(key) ? "\"\"" : (const char *)key.data,
				slice_is_absent(key) ? 2 : key.size);
			put(out, ":", 1);
		}
		write_json(out, t, child, depth + 1);
	}
	put(out, n->kind == LIST ? "]" : "}", 1);
}

/* The inside of a string as it is, escapes and all. */
static void write_text(struct out *out, struct slice token)
{
	uint8_t head[MSGPACK_HEAD_BYTES_MAX];
	struct slice inside =
		token.size < 2 ? (struct slice){0} : slice_of(token.data + 1, token.size - 2);
	size_t type = inside.size <= MSGPACK_FIXSTR_MAX ? MSGPACK_FIXSTR : MSGPACK_STR32;

	put(out, head, msgpack_put_head(head, type, inside.size));
	put(out, inside.data, inside.size);
}

static void write_number(struct out *out, struct slice token)
{
	char text[32], *end;
	uint8_t value[9];
	long long whole;
	double number;
	uint64_t bits;

	if (token.size >= sizeof(text))
		token.size = sizeof(text) - 1;
	memcpy(text, token.data, token.size);
	text[token.size] = '\0';
	whole = strtoll(text, &end, 10);
	bits = (uint64_t)whole;
	if (*end != '\0') {
		number = strtod(text, NULL);
		memcpy(&bits, &number, sizeof(bits));
	}
	value[0] = *end != '\0' ? 0xcb : 0xd3; /* float 64, int 64 */
	put(out, value, (size_t)(put_be64(value + 1, bits) - value));
}

static void write_leaf(struct out *out, struct slice token)
{
	static const struct {
		const char *word;
		uint8_t byte;
	} literals[] = {{"null", 0xc0}, {"false", 0xc2}, {"true", 0xc3}};

	for (size_t i = 0; i < sizeof(literals) / sizeof(*literals); i++) {
		if (slice_equal(token, slice_from_cstr(literals[i].word))) {
			put(out, &literals[i].byte, 1);
			return;
		}
	}
	if (token.data[0] == '"')
		write_text(out, token);
	else
		write_number(out, token);
}

static void write_msgpack(struct out *out, const struct tree *t, unsigned node, size_t depth)
{
	const struct node *n = &t->nodes[node];
	uint32_t count = 0;
	uint8_t head[5];

	if (n->kind == LEAF || depth == DEPTH_MAX) {
		write_leaf(out, n->kind == LEAF ? n->token : slice_from_cstr("0"));
		return;
	}
	for (unsigned child = n->first; child != 0 && count < NODES_MAX;
		child = t->nodes[child].next)
		count++;
	head[0] = n->kind == LIST ? 0xdd : 0xdf; /* array 32, map 32 */
	put(out, head, (size_t)(put_be32(head + 1, count) - head));
	for (unsigned child = n->first; child != 0 && !out->full; child = t->nodes[child].next) {
		if (n->kind == MAP)
			write_text(out, t->nodes[child].key);
		write_msgpack(out, t, child, depth + 1);
	}
}

/* What a node holds becomes what another one holds; its place and its key stay. */
static void set_value(struct node *n, const struct node *value)
{
	n->kind = value->kind;
	n->token = value->token;
	n->first = value->first;
}

/* A word in place of a value. */
static void replace(struct tree *t, struct node *n)
{
	struct slice word = slice_from_cstr(words[pick(t, sizeof(words) / sizeof(*words))]);

	n->kind = word.data[0] == '{' ? MAP : word.data[0] == '[' ? LIST : LEAF;
	n->token = word;
	n->first = 0;
}

static void change_text(struct tree *t, struct node *n, mutate_bytes *change)
{
	uint8_t *text = t->texts + t->texts_used, *quote;
	size_t size = n->token.size - 1;

	if (n->kind != LEAF || n->token.data[0] != '"' || n->token.size > TEXT_BYTES_MAX / 2) {
		replace(t, n);
		return;
	}
	memcpy(text, n->token.data, size);
	size = 1 + change(text + 1, size - 1, TEXT_BYTES_MAX - 2);
	/* Neither a quotation mark nor an escape that has no end. */
	while ((quote = memchr(text + 1, '"', size - 1)) != NULL)
		*quote = '\'';
	if (text[size - 1] == '\\')
		text[size - 1] = '/';
	text[size++] = '"';
	n->token = slice_of(text, size);
	t->texts_used += TEXT_BYTES_MAX;
}

static void repeat(struct tree *t, struct node *n)
{
	unsigned copy = node_new(t, n->kind, n->token);

	if (copy == 0)
		return;
	t->nodes[copy] = *n;
	n->next = copy;
}

/* A list with the value, in place of the value. */
static void nest(struct tree *t, struct node *n)
{
	unsigned inner = node_new(t, n->kind, n->token);

	if (inner == 0)
		return;
	set_value(&t->nodes[inner], n);
	n->kind = pick(t, 2) == 0 ? LIST : MAP;
	n->first = inner;
}

static void mutate_once(struct tree *t, mutate_bytes *change)
{
	struct node *n = &t->nodes[1 + pick(t, t->count)],
		    *other = &t->nodes[1 + pick(t, t->count)];
	unsigned first = n->first;

	switch (pick(t, 8)) {
	case 0:
		set_value(n, other);
		break;
	case 1:
		repeat(t, n);
		break;
	case 2:
		nest(t, n);
		break;
	case 3: /* drop the first value, or what follows the node */
		if (first != 0)
			n->first = t->nodes[first].next;
		else if (n->next != 0)
			n->next = t->nodes[n->next].next;
		break;
	case 4:
		if (!slice_is_absent(n->key))
			n->key = slice_from_cstr(keys[pick(t, sizeof(keys) / sizeof(*keys))]);
		break;
	case 5:
		change_text(t, n, change);
		break;
	default:
		replace(t, n);
	}
}

size_t mutate_message(uint8_t *data, size_t size, size_t size_max, unsigned seed,
	mutate_bytes *change)
{
	static struct tree t;
	static struct out out;

	t.count = 0;
	t.texts_used = 0;
	t.seed = seed;
	out.size = 0;
	out.full = false;
	if (size == 0 || !read_tree(&t, slice_of(data, size)))
		return 0;
	for (unsigned i = pick(&t, MUTATIONS_MAX); i < MUTATIONS_MAX; i++)
		mutate_once(&t, change);
	if (pick(&t, 8) == 0)
		write_msgpack(&out, &t, 1, 0);
	else
		write_json(&out, &t, 1, 0);
	if (out.full || out.size > size_max)
		return 0;
	memcpy(data, out.bytes, out.size);
	return out.size;
}
