#include "mqtt/paho.h"

#include "base/clock.h"
#include "mqtt/tls_check.h"

#include <stdlib.h>

/* http_proxy and https_proxy in the environment are not meant for MQTT, but paho would follow
 * them. */
static void paho_ignore_proxies(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): nobody else sets variables; paho reads them later */
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	/* NOLINTEND(concurrency-mt-unsafe) */
}

void paho_prepare(void)
{
	paho_ignore_proxies();
	/* Otherwise Debian's build traces every call: a third of its CPU time. */
	MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
}

int paho_version(enum mqtt_version version)
{
	return version == MQTT_VERSION_311 ? MQTTVERSION_3_1_1 : MQTTVERSION_5;
}

void paho_connect_options(const struct mqtt_options *o, int version, MQTTAsync_connectOptions *c,
	MQTTAsync_SSLOptions *tls)
{
	c->keepAliveInterval = (int)(o->keep_alive_us / US_PER_SECOND);
	c->connectTimeout = (int)(o->connect_timeout_us / US_PER_SECOND);
	c->MQTTVersion = version;
	c->username = o->user[0] != '\0' ? o->user : NULL;
	c->password = o->password[0] != '\0' ? o->password : NULL;
	c->ssl = tls;
	tls->trustStore = o->tls_ca[0] != '\0' ? o->tls_ca : NULL;
	tls->keyStore = o->tls_certificate[0] != '\0' ? o->tls_certificate : NULL;
	tls->privateKey = o->tls_key[0] != '\0' ? o->tls_key : NULL;
	tls->privateKeyPassword = o->tls_key_password[0] != '\0' ? o->tls_key_password : NULL;
	tls->enableServerCertAuth = o->tls_verify;
	tls->verify = o->tls_verify;
	tls_check_begin(o->tls_crl);
}
