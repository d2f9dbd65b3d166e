// What is often written instead: mqtt.js, and COPY of JSONB by pg-copy-streams. It acknowledges what
// it has in memory.
//
//   node peer.mjs <broker port> <client id> <connection string>
import mqtt from 'mqtt';
import pg from 'pg';
import { finished } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';

const ROWS_MAX = 1000;
const [port, clientId, connectionString] = process.argv.slice(2);
const database = new pg.Client({ connectionString });
let rows = [];
let writing = false;

const escape = (text) => text.replace(/[\\\n\r\t]/g, (c) => ({
  '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[c]);

async function write() {
  writing = true;
  while (rows.length > 0) {
    const batch = rows.splice(0, ROWS_MAX);
    const stream = database.query(copyFrom('COPY messages (received_at, topic, payload) FROM STDIN'));
    stream.end(batch.join(''));
    await finished(stream);
  }
  writing = false;
}

await database.connect();
const broker = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clientId, clean: false, protocolVersion: 5,
  properties: { sessionExpiryInterval: 3600, receiveMaximum: 1000 } });
broker.on('message', (topic, payload) => {
  rows.push(`${new Date().toISOString()}\t${escape(topic)}\t${escape(payload.toString())}\n`);
  if (!writing) setImmediate(() => { if (!writing) write(); });
});
