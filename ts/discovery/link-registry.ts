/** The links of this JavaScript environment: one to the store of this process, one to each host it is a client of. */

import { isMainThread } from 'node:worker_threads';
import { atEnd, atExit } from '../process/exit-hooks.js';
import { checkGuests, endpointOfEnvironment, transportWish, wayFor } from './environment.js';
import { leave, leaveAtEnd } from '../process/host-handover.js';
import { Link, type Place } from '../link/link.js';
import { native, translated } from '../native.js';
import { electionKey, isOfInstance } from './pm2.js';
import { DEFAULTS, type InstanceOptions, type PersistSettings } from '../options/instance.js';
import { isolate, isolateName } from './isolate.js';
import { findParent, findPrimary, passOn, type Seeker } from './rendezvous.js';
import { keepSnapshots, passNotices } from '../process/snapshots.js';

const HERE = 'here';
const PRIMARY: Place = {
  name: 'primary',
  remedy: 'check that the primary runs and has loaded clustered-cache, or raise `timeout` if it starts later',
};
const PARENT: Place = {
  name: 'parent',
  remedy: 'check that the process that started this one runs and has opened the cache, or raise `timeout`',
};
const ELECTED: Place = {
  name: 'elected',
  elected: true,
  remedy: 'check that an instance of this PM2 app runs that may be the host (without `role`) and is not stopped',
};

/** The host at a path that the user chose. */
const placeAt = (endpoint: string): Place => ({
  name: `at ${endpoint}`,
  remedy:
    "start the host there (`role: 'host'` with this `endpoint`, or `npx clustered-cache serve`), correct `endpoint` or " +
    'CLUSTERED_CACHE_ENDPOINT, or raise `timeout` if the host starts later',
});

const links = new Map<string, Link>();

/** The link for an instance with these options. */
export function linkFor(options: InstanceOptions): Link {
  const way = wayFor(options);
  checkGuests(options, way);
  switch (way.to) {
    case 'here':
      becomeHost(way.listenAt, options.persist);
      if (options.allowUids) admit(options.allowUids);
      return hostLink();
    case 'primary':
      return client(PRIMARY, options, (link) => {
        link.setNoHostReason(
          "the primary does not answer; load clustered-cache in the primary (`import 'clustered-cache'` is enough), or " +
            'raise `timeout` if it starts later',
        );
        return seek(findPrimary, link);
      });
    case 'parent': {
      const find = (link: Link) => {
        link.setNoHostReason(
          isMainThread
            ? 'the process that started this one does not answer; it has to load clustered-cache before it starts this one'
            : 'the main thread has not attached; it has to open a cache with `attach: true` first',
        );
        return seek(findParent, link);
      };
      return client({ ...PARENT, elected: isOfInstance() }, options, find);
    }
    case 'elected': {
      // First, because this process may become the host at once.
      if (way.stands && options.persist) keep(options.persist, true);
      const endpoint = translated(() => native.elect(way.key, way.stands));
      if (way.stands && isMainThread) leaveAtEnd(options.handoverTimeout, finish);
      const find = (link: Link) => {
        link.setNoHostReason('the instances of this PM2 app have no host just now; is one of them stopped?');
        link.connect(endpoint);
        return () => {};
      };
      return client(ELECTED, options, find);
    }
    case 'endpoint':
      passOn(way.endpoint);
      return client(placeAt(way.endpoint), options, (link) => {
        link.connect(way.endpoint);
        return () => {};
      });
  }
}

/** Makes this process the host, at `listenAt` if that is given. */
export function becomeHost(listenAt: string | undefined, persist: PersistSettings | undefined): void {
  // If another host already serves this endpoint, the snapshot is that host's: it is not loaded, and listening fails
  // with the reason.
  const isFree = listenAt === undefined || translated(() => isolate().reserve(listenAt));
  if (persist && isFree) keep(persist, false);
  if (listenAt !== undefined) translated(() => isolate().listen(listenAt));
}

/** Allows processes of these users to be clients of this one. */
function admit(users: number[]): void {
  translated(() => isolate().admit(users));
}

function keep(persist: PersistSettings, elected: boolean): void {
  keepSnapshots(persist, elected);
  // A process that a signal ends emits no 'exit' event.
  atEnd(end);
}

/** The link to the store of this process, which becomes the host. */
export function hostLink(): Link {
  const key = `${HERE} ${isolateName()}`;
  return linkOf(key, () => new Link('host', 0, false, () => links.delete(key)));
}

/** Why there is nothing to be hosted in this process, although it could host: its caches are at a host elsewhere. */
export function whyNotHosting(): string | undefined {
  if (isolate().isHosting() || (links.size === 0 && endpointOfEnvironment() === undefined)) return undefined;
  return 'in a process whose caches are at a host elsewhere, named by `endpoint`, CLUSTERED_CACHE_ENDPOINT or `attach`';
}

/** Takes part in the election of a host: this process or one of its peers. */
export function ensureHost(): void {
  const key = electionKey();
  if (key === undefined) hostLink();
  else {
    translated(() => native.elect(key, true));
    if (isMainThread) leaveAtEnd(DEFAULTS.handoverTimeout, finish);
  }
}

/** A link to a host in another process; `find` starts looking for it and returns a function that stops the search. */
function client(place: Place, { timeout }: InstanceOptions, find: (link: Link) => () => void): Link {
  return linkOf(place.name, () => {
    let stop = () => {};
    const onIdle = () => {
      stop();
      links.delete(place.name);
    };
    const link = new Link('client', timeout, transportWish() !== 'socket', onIdle, place);
    stop = find(link);
    return link;
  });
}

/** Asks where the host is, and again when it is not there any more. Returns a function that stops asking. */
function seek(find: typeof findPrimary, link: Link): () => void {
  let where: string | undefined;
  let stop = () => {};
  const ask = () => {
    stop();
    stop = find(
      seekerFor(link, (endpoint) => (where = endpoint)),
      where,
    );
  };
  link.onReach = (isReached) => (isReached ? stop() : ask());
  ask();
  return () => stop();
}

function seekerFor(link: Link, onEndpoint: (endpoint: string) => void): Seeker {
  return {
    onAnswer: ({ endpoint, secret, user }) => {
      onEndpoint(endpoint);
      link.setNoHostReason(undefined);
      link.connect(endpoint, secret, user);
    },
    onFailure: (error, isRefusal) => (isRefusal ? link.refuse(error) : link.setNoHostReason(error.message)),
  };
}

function linkOf(key: string, make: () => Link): Link {
  let link = links.get(key);
  if (!link) {
    link = make();
    links.set(key, link);
  }
  return link;
}

/** Sends all requests and access reports that are still queued. */
function finish(): void {
  for (const link of links.values()) link.finish();
}

/**
 * Called before the process ends: queued requests are sent; an elected host hands its content to its successor, or
 * saves it; any other host saves its content and removes its files. Calling it twice is fine.
 */
export function end(): void {
  finish();
  if (!isMainThread) return;
  leave();
  native.stopServing();
  passNotices(true);
}

atExit(end);
