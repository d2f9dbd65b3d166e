#include "replay/readers/lines_zone.h"

#include "base/zone.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Sorted. The abbreviations of the IANA database (tz 2024a: current ones and those in backward),
 * MEZ and MESZ. */
static const char *const zone_abbreviations[] = {
	"ACDT",
	"ACST",
	"ACWST",
	"ADT",
	"AEDT",
	"AEST",
	"AFT",
	"AKDT",
	"AKST",
	"ALMT",
	"AMST",
	"AMT",
	"ANAT",
	"AQTT",
	"ART",
	"AST",
	"AWDT",
	"AWST",
	"AZOST",
	"AZOT",
	"AZT",
	"BDT",
	"BNT",
	"BOT",
	"BRST",
	"BRT",
	"BST",
	"BTT",
	"CAST",
	"CAT",
	"CCT",
	"CDT",
	"CEST",
	"CET",
	"CHADT",
	"CHAST",
	"CHST",
	"CHUT",
	"CKT",
	"CLST",
	"CLT",
	"COT",
	"CST",
	"CST6CDT",
	"CVT",
	"CXT",
	"DAVT",
	"DDUT",
	"EASST",
	"EAT",
	"EDT",
	"EEST",
	"EET",
	"EGST",
	"EGT",
	"EST",
	"EST5EDT",
	"ET",
	"FET",
	"FJT",
	"FKST",
	"FKT",
	"FNT",
	"GALT",
	"GAMT",
	"GFT",
	"GILT",
	"GMT",
	"GST",
	"GYT",
	"HADT",
	"HAST",
	"HDT",
	"HKT",
	"HST",
	"ICT",
	"IDT",
	"IRDT",
	"IRKT",
	"IRST",
	"IST",
	"JST",
	"KGT",
	"KOST",
	"KRAT",
	"KST",
	"LHDT",
	"LHST",
	"LMT",
	"MAWT",
	"MDT",
	"MEST",
	"MESZ",
	"MET",
	"MEZ",
	"MHT",
	"MMT",
	"MSD",
	"MSK",
	"MST",
	"MST7MDT",
	"MVT",
	"MYT",
	"NCT",
	"NDT",
	"NFT",
	"NOVT",
	"NPT",
	"NRT",
	"NST",
	"NZDT",
	"NZST",
	"OMST",
	"ORAT",
	"PDT",
	"PET",
	"PETT",
	"PGT",
	"PHT",
	"PKT",
	"PMDT",
	"PMST",
	"PST",
	"PST8PDT",
	"PWT",
	"PYST",
	"PYT",
	"QYZT",
	"ROTT",
	"SAKT",
	"SAMT",
	"SAST",
	"SBT",
	"SGT",
	"SRET",
	"SRT",
	"SST",
	"SYOT",
	"TAHT",
	"TFT",
	"TJT",
	"TKT",
	"TLT",
	"TMT",
	"TRT",
	"TVT",
	"UCT",
	"ULAT",
	"UT",
	"UTC",
	"UYST",
	"UYT",
	"UZT",
	"VET",
	"VLAT",
	"VOST",
	"VUT",
	"WAKT",
	"WAST",
	"WAT",
	"WEST",
	"WET",
	"WFT",
	"WGST",
	"WGT",
	"WIB",
	"WIT",
	"WITA",
	"YAKT",
	"YEKT",
	"ZULU",
};

static int zone_order(const void *word, const void *entry)
{
	return strcasecmp(word, *(const char *const *)entry);
}

/* "+1", "-0530", "+01:0": digits and colons after a sign. */
static bool zone_is_offset(const char *text)
{
	return (text[0] == '+' || text[0] == '-') && isdigit((unsigned char)text[1]) &&
	       strlen(text) <= sizeof("+00:00:00") - 1 &&
	       text[1 + strspn(text + 1, "0123456789:")] == '\0';
}

bool lines_zone_word(struct slice text, char out[static LINES_ZONE_WORD_BYTES])
{
	if (text.size > 2 && text.data[0] == '(' && text.data[text.size - 1] == ')')
		text = slice_of(text.data + 1, text.size - 2);
	if (text.size == 0 || text.size >= LINES_ZONE_WORD_BYTES ||
		memchr(text.data, '\0', text.size) != NULL)
		return false;
	memcpy(out, text.data, text.size);
	out[text.size] = '\0';
	if (zone_is_offset(out))
		return true;
	if ((strncasecmp(out, "UTC", 3) == 0 || strncasecmp(out, "GMT", 3) == 0) &&
		zone_is_offset(out + 3))
		return true;
	return bsearch(out, zone_abbreviations,
		       sizeof(zone_abbreviations) / sizeof(*zone_abbreviations),
		       sizeof(*zone_abbreviations), zone_order) != NULL ||
	       (isalpha((unsigned char)*out) && strchr(out, '/') != NULL && zone_exists(out));
}
