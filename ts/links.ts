/** The links of this JavaScript environment: one to the store of this process, one to each host it is a client of. */

import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { transportWish, wayFor } from './environment.js';
import { leave, leaveAtEnd } from './exit.js';
import { Link } from './link.js';
import { native, translated } from './native.js';
import { electionKey } from './pm2.js';
import { DEFAULTS, type InstanceOptions } from './options.js';
import { answerWorkers, findPrimary } from './rendezvous.js';

const HERE = 'here';
const PRIMARY = 'primary';
const ELECTED = 'elected';

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
    case 'elected': {
      const endpoint = translated(() => native.elect(way.key, way.stands));
      if (way.stands && isMainThread) leaveAtEnd(options.handoverTimeout, finish);
      const find = (link: Link) => {
        link.blame('the instances of this PM2 app have no host just now; is one of them stopped?');
        link.connect(endpoint);
        return () => {};
      };
      return client(ELECTED, options, find, true);
    }
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

/** Has a host: this process, or one of those that elect it. */
export function ensureHost(): void {
  const key = electionKey();
  if (key === undefined) hostLink();
  else {
    translated(() => native.elect(key, true));
    if (isMainThread) leaveAtEnd(DEFAULTS.handoverTimeout, finish);
  }
}

/** A link to a host elsewhere; `find` begins to look for it and returns how to stop. */
function client(key: string, { timeout }: InstanceOptions, find: (link: Link) => () => void, elected = false): Link {
  return linkOf(key, () => {
    let stop = () => {};
    const onIdle = () => {
      stop();
      links.delete(key);
    };
    const link = new Link('client', timeout, transportWish() !== 'socket', onIdle, elected);
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

/** Sends what was asked and read so far. */
function finish(): void {
  for (const link of links.values()) link.finish();
}

// What was asked before the process ends is sent, a host leaves no files, and an elected one has its content to the next.
process.once('exit', () => {
  finish();
  if (!isMainThread) return;
  leave();
  native.stopServing();
});
