// What is often written instead: mqtt.js, and COPY of JSONB by pg-copy-streams.
//
//   node peer.mjs <broker port> <client id> <connection string> [--after-commit]
//
// It acknowledges what it has in memory. With --after-commit it acknowledges what is stored, one message
// per COMMIT: mqtt.js acknowledges a message when handleMessage calls back, and takes no other until
// then. A lost connection is opened again, and the batch copied again. SIGTERM ends it once it has stored what
// it has.
import mqtt from 'mqtt';
import pg from 'pg';
import { finished } from 'node:stream/promises';
import { setImmediate as soon, setTimeout as sleep } from 'node:timers/promises';
import { from as copyFrom } from 'pg-copy-streams';

const FILTERS = ['cs/in/+/+', 'cs/out/+/+'];
const ROWS_MAX = 1000;
const RETRY_MS = 500;
const [port, clientId, connectionString, mode] = process.argv.slice(2);
let database;
let rows = [];
let writing;

const escape = (text) => text.replace(/[\\\n\r\t]/g, (c) => ({
  '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c]);

const rowOf = (topic, payload) =>
  `${new Date().toISOString()}\t${escape(topic)}\t${escape(payload.toString())}\n`;

async function open() {
  const client = new pg.Client({ connectionString });
  client.on('error', () => { if (database === client) database = undefined; });
  await client.connect();
  return client;
}

async function store(batch) {
  for (;;) {
    try {
      database ??= await open();
      const stream = database.query(
        copyFrom('COPY messages (received_at, topic, payload) FROM STDIN'));
      stream.end(batch.join(''));
      await finished(stream);
      return;
    } catch (e) {
      console.error(`${batch.length} rows: ${e.message}`);
      database?.end().catch(() => {});
      database = undefined;
      await sleep(RETRY_MS);
    }
  }
}

async function storeAll() {
  while (rows.length > 0) await store(rows.splice(0, ROWS_MAX));
  writing = undefined;
}

const broker = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clientId, clean: false, protocolVersion: 5, resubscribe: false,
  properties: { sessionExpiryInterval: 3600, receiveMaximum: 1000 } });
broker.on('connect', () => broker.subscribe(FILTERS, { qos: 1 }));
broker.on('error', (e) => console.error(`broker: ${e.message}`));
if (mode) {
  broker.handleMessage = ({ topic, payload }, done) => {
    store([rowOf(topic, payload)]).then(() => done());
  };
} else {
  broker.on('message', (topic, payload) => {
    rows.push(rowOf(topic, payload));
    writing ??= soon().then(storeAll);
  });
}

process.on('SIGTERM', async () => {
  await broker.endAsync();
  await writing;
  process.exit(0);
});
