// BullMQ.
import { Queue, Worker } from 'bullmq';
import { batches, enqueued, post, redisSocket } from './items.mjs';

const connection = { path: redisSocket, maxRetriesPerRequest: null };
if (process.argv[2] === 'enqueue') {
  const queue = new Queue('bench', { connection });
  const began = Date.now();
  for (const batch of batches()) {
    await queue.addBulk(
      batch.map((data) => ({
        name: 'job',
        data,
        opts: { delay: Math.max(0, Math.ceil(data.due_ms - Date.now())), removeOnComplete: true },
      })),
    );
  }
  enqueued(began);
} else {
  new Worker('bench', (job) => post(job.data), { connection, concurrency: 200 });
}
