#include <stdio.h>
#include <store/store.h>

/* cc example.c $(pkg-config --cflags --libs ocpp-store) && ./a.out postgres://... */
int main(int argc, char **argv)
{
	struct ocpp_token token = {.uid = "ABC",
		.type = "RFID",
		.country_code = "GB",
		.party_id = "TWK",
		.contract_id = "GBTWK012345678V",
		.issuer = "Thoughtworks",
		.valid = true,
		.cache_mode = "ALWAYS"};
	struct ocpp_store_options options = {.url = argc > 1 ? argv[1] : NULL};
	struct ocpp_transaction_page page = {.limit = 10};
	const struct ocpp_transaction *list = NULL;
	const struct ocpp_token *found = NULL;
	struct ocpp_store *store = NULL;
	struct error err;
	size_t count = 0;
	bool ok = ocpp_store_open(&store, &options, &err) &&
		  ocpp_token_set(store, &token, 1, &err) &&
		  ocpp_token_lookup(store, "ABC", &found, &err) == OCPP_FOUND &&
		  ocpp_transaction_list(store, &page, &list, &count, &err);

	if (ok)
		printf("%s is %s, %zu transactions\n", found->uid,
			found->valid ? "valid" : "not valid", count);
	else
		fprintf(stderr, "%s\n", err.message);
	ocpp_free(found);
	ocpp_free(list);
	ocpp_store_close(&store);
	return ok ? 0 : 1;
}
