/** The links of this JavaScript environment: one to the store of this process, one to each host it is a client of. */

import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { transportWish, wayFor } from './environment.js';
import { Link } from './link.js';
import { native, translated } from './native.js';
import type { InstanceOptions } from './options.js';
import { answerWorkers, findPrimary } from './rendezvous.js';

const HERE = 'here';
const PRIMARY = 'primary';

const links = new Map<string, Link>();

/** The link for an instance with these options. */
export function linkFor(options: InstanceOptions): Link {
  const way = wayFor(options);
  switch (way.to) {
    case 'here':
      if (way.listenAt !== undefined) translated(() => native.listen(way.listenAt));
      return hostLink();
    case 'primary':
      return client(PRIMARY, options, (link) =>
        findPrimary({
          onAnswer: ({ endpoint, secret }) => link.connect(endpoint, secret),
          onFailure: (reason) => link.blame(reason),
        }),
      );
    case 'endpoint':
      return client(`at ${way.endpoint}`, options, (link) => {
        link.connect(way.endpoint);
        return () => {};
      });
  }
}

/** The link to the store of this process, which is the host from then on. */
export function hostLink(): Link {
  answerWorkers();
  return linkOf(HERE, () => new Link('host', 0, false, () => links.delete(HERE)));
}

/** A link to a host elsewhere; `find` begins to look for it and returns how to stop. */
function client(key: string, { timeout }: InstanceOptions, find: (link: Link) => () => void): Link {
  return linkOf(key, () => {
    let stop = () => {};
    const link = new Link('client', timeout, transportWish() !== 'socket', () => {
      stop();
      links.delete(key);
    });
    stop = find(link);
    return link;
  });
}

function linkOf(key: string, make: () => Link): Link {
  let link = links.get(key);
  if (!link) {
    link = make();
    links.set(key, link);
  }
  return link;
}

// What was asked before the process ends is sent, and a host leaves no files.
process.once('exit', () => {
  for (const link of links.values()) link.finish();
  if (isMainThread) native.stopServing();
});
