// The items of the work, for the peers on Node, and the way to deliver one. Everything comes by the environment.
import http from 'node:http';

const { COUNT, FIRST_US, SPREAD_US, URL: url } = process.env;
export const count = Number(COUNT);
export const databaseUrl = process.env.DATABASE_URL;
export const redisSocket = process.env.REDIS_SOCKET;
const BATCH = 500;

const dueMs = (item) => (Number(FIRST_US) + Math.floor((item * Number(SPREAD_US)) / count)) / 1000;

export function* batches() {
  for (let begin = 0; begin < count; begin += BATCH) {
    yield Array.from({ length: Math.min(BATCH, count - begin) }, (_, index) => {
      const item = begin + index;
      return { item, due_ms: dueMs(item) };
    });
  }
}

// fetch is what most people use; node:http over connections that are kept takes a quarter of its time.
const agent = new http.Agent({ keepAlive: true, maxSockets: 128 });
const byAgent = (data) =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify(data);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', resolve);
    });
    request.on('error', reject);
    request.end(body);
  });

const byFetch = async (data) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(data) });
  await response.text();
};
export const post = process.env.CLIENT === 'node:http' ? byAgent : byFetch;

// Said when all items wait.
export const enqueued = (began) => {
  console.log(JSON.stringify({ per_second: (count / (Date.now() - began)) * 1000 }));
  process.exit(0);
};
