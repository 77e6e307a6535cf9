// An application that is bundled into one file.

import cluster from 'node:cluster';
import { ClusteredCache } from 'clustered-cache';

const visits = new ClusteredCache({ namespace: 'visits', timeout: 10_000 });

if (cluster.isPrimary) {
  let left = 2;
  const done = async () => {
    left -= 1;
    if (left === 0) console.log(`total ${await visits.get('total')}`);
  };
  for (let count = 0; count < 2; count += 1) cluster.fork().once('exit', () => void done());
} else {
  console.log(`${visits.role} ${await visits.incr('total')}`);
  cluster.worker.disconnect();
}
