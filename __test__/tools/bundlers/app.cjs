'use strict';

// An application that is bundled into one file.

const cluster = require('node:cluster');
const { ClusteredCache } = require('clustered-cache');

const visits = new ClusteredCache({ namespace: 'visits', timeout: 10_000 });

if (cluster.isPrimary) {
  let left = 2;
  const done = async () => {
    left -= 1;
    if (left === 0) console.log(`total ${await visits.get('total')}`);
  };
  for (let count = 0; count < 2; count += 1) cluster.fork().once('exit', () => void done());
} else {
  const count = async () => {
    console.log(`${visits.role} ${await visits.incr('total')}`);
    cluster.worker.disconnect();
  };
  void count();
}
