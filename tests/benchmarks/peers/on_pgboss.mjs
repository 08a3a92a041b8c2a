// pg-boss.
import PgBoss from 'pg-boss';
import { batches, databaseUrl, enqueued, post } from './items.mjs';

const boss = new PgBoss({ connectionString: databaseUrl, max: 10 });
boss.on('error', console.error);
await boss.start();
await boss.createQueue('bench');
if (process.argv[2] === 'enqueue') {
  const began = Date.now();
  for (const batch of batches()) {
    await boss.insert(batch.map((data) => ({ name: 'bench', data, startAfter: new Date(data.due_ms) })));
  }
  enqueued(began);
} else {
  const options = { batchSize: 500, pollingIntervalSeconds: 0.5 };
  await boss.work('bench', options, (jobs) => Promise.all(jobs.map((job) => post(job.data))));
}
