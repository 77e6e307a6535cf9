import cluster from 'node:cluster';
import { ClusteredCache } from 'clustered-cache';

enum Key {
  Total = 'total',
}

const visits = new ClusteredCache<Key, number>({ namespace: 'visits', timeout: 10_000 });

if (cluster.isPrimary) {
  let left = 2;
  const done = async () => {
    left -= 1;
    if (left === 0) console.log(`total ${await visits.get(Key.Total)}`);
  };
  for (let count = 0; count < 2; count += 1) cluster.fork().once('exit', () => void done());
} else {
  const total: number = await visits.incr(Key.Total);
  console.log(`${visits.role} ${total}`);
  cluster.worker?.disconnect();
}
