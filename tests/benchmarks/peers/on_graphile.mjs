// graphile-worker.
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { batches, databaseUrl, enqueued, post } from './items.mjs';

const ADD = `select count(*) from graphile_worker.add_jobs(array(
  select json_populate_recordset(null::graphile_worker.job_spec, $1::json)))`;
if (process.argv[2] === 'schema') {
  await (await makeWorkerUtils({ connectionString: databaseUrl })).migrate();
  process.exit(0);
} else if (process.argv[2] === 'enqueue') {
  const pool = new pg.Pool({ connectionString: databaseUrl });
  const began = Date.now();
  for (const batch of batches()) {
    const specs = batch.map((payload) => ({ identifier: 'job', payload, run_at: new Date(payload.due_ms).toISOString() }));
    await pool.query(ADD, [JSON.stringify(specs)]);
  }
  enqueued(began);
} else {
  const runner = await run({
    connectionString: databaseUrl,
    maxPoolSize: 20,
    noHandleSignals: true,
    pollInterval: 100,
    logger: new Logger(() => () => {}),
    taskList: { job: post },
    preset: {
      worker: { concurrentJobs: 100, localQueue: { size: 500 }, completeJobBatchDelay: 5, failJobBatchDelay: 5 },
    },
  });
  await runner.promise;
}
