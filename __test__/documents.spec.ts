import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { GUIDE, lines, PAGES, read } from './helpers/documents.ts';
import { ROOT } from './helpers/scripts.ts';

/** `[text](target)` and `![text](target)`, without a title. */
const LINK = /\]\(([^()\s]+)\)/g;
/** `[name]: target` on a line of its own. */
const REFERENCE = /^\[[^\]]+\]: (\S+)$/gm;
/** The addresses of this repository's files. */
const OF_REPOSITORY =
  /^https:\/\/(?:github\.com\/clustered-cache\/clustered-cache\/(?:blob|tree)|raw\.githubusercontent\.com\/clustered-cache\/clustered-cache)\/main\//;
/** Pages that stay short enough to be read from beginning to end. */
const MOST_LINES: Record<string, number> = { 'README.md': 250, 'docs/architecture.md': 200 };
/** The longest line of prose, so that a diff shows only the changed lines of a paragraph. */
const WIDTH = 120;

function linksOf(text: string): string[] {
  return [LINK, REFERENCE].flatMap((links) => [...text.matchAll(links)].map(([, link = '']) => link));
}

const withoutCode = (text: string): string => text.replaceAll(/`[^`]*`/g, '');

/** The anchors of a page, as GitHub derives them from its headings. */
function anchors(page: string): Set<string> {
  const found = new Set<string>();
  for (const { text, isCode } of lines(page)) {
    const heading = isCode ? undefined : /^#{1,6} (.*)$/.exec(text)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; found.has(anchor); count++) anchor = `${slug}-${count}`;
    found.add(anchor);
  }
  return found;
}

/** The fault of a link on `page`, if any. */
function fault(page: string, link: string): string | undefined {
  const own = link.replace(OF_REPOSITORY, '');
  if (own !== link) return existsSync(path.join(ROOT, own)) ? undefined : 'does not exist in this repository';
  if (/^[a-z]+:/.test(link)) return undefined;
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
  if (!existsSync(path.join(ROOT, target))) return 'does not exist';
  if (anchor === undefined) return undefined;
  if (!target.endsWith('.md') || statSync(path.join(ROOT, target)).isDirectory()) return 'has no anchors';
  return anchors(target).has(anchor) ? undefined : 'has no such heading';
}

for (const page of PAGES) {
  test(`${page}: the target of every relative link exists`, (t) => {
    const broken = lines(page)
      .filter(({ isCode }) => !isCode)
      .flatMap(({ text, number }) =>
        [...linksOf(withoutCode(text))].map((link) => ({ link, number, why: fault(page, link) })),
      )
      .filter(({ why }) => why !== undefined)
      .map(({ link, number, why }) => `${page}:${number}: ${link} ${why}`);
    t.deepEqual(broken, []);
  });
}

test('every page of the guide is linked from the README or a page that it links to', (t) => {
  const reached = new Set(['README.md']);
  for (const page of reached) {
    for (const [, link = ''] of read(page).matchAll(LINK)) {
      const target = path.posix.join(path.posix.dirname(page), link.split('#')[0] ?? '');
      if (GUIDE.includes(target)) reached.add(target);
    }
  }
  t.deepEqual(
    GUIDE.filter((page) => !reached.has(page)),
    [],
  );
});

test('the relative links of the README lead to files of the published package', async (t) => {
  const { NPM_CONFIG_DRY_RUN: _given, ...env } = process.env;
  const pack = promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, env });
  const [{ files }] = JSON.parse((await pack).stdout) as [{ files: { path: string }[] }];
  const packed = new Set(files.map((file) => file.path));
  const links = lines('README.md').flatMap(({ text, isCode }) => (isCode ? [] : linksOf(withoutCode(text))));
  const relative = links.filter((link) => !/^[a-z]+:/.test(link)).map((link) => link.split('#')[0] ?? '');
  t.true(relative.length > 10);
  t.deepEqual(
    relative.filter((file) => file !== '' && !packed.has(file)),
    [],
  );
});

for (const [page, most] of Object.entries(MOST_LINES)) {
  test(`${page} has at most ${most} lines`, (t) => {
    t.true(lines(page).length <= most, `${lines(page).length} lines`);
  });
}

test(`prose is wrapped at ${WIDTH} characters`, (t) => {
  const long = GUIDE.flatMap((page) =>
    lines(page)
      .filter(({ text, isCode }) => !isCode && !/^(?:\||#|!\[)/.test(text) && text.length > WIDTH)
      .map(({ text, number }) => `${page}:${number}: ${text.length} characters`),
  );
  t.deepEqual(long, []);
});

// --- the figures of the README -------------------------------------------------------------------------------------

interface Results {
  machine: { cpu: string; cores: number; memory: string; system: string; node: string };
  latency: { contender: string; set: string; way: string; ns: number }[];
  throughput: { contender: string; workload: string; workers: number; inFlight: number; rate: number }[];
}

const ROWS: Record<string, string> = {
  'clustered-cache, `near`': 'near',
  'clustered-cache': 'shared',
  'clustered-cache, socket only': 'socket',
  'ioredis, unix socket': 'ioredis',
  'cluster IPC (`lru-cache-for-clusters-as-promised`)': 'cluster-ipc',
  lmdb: 'lmdb',
  'lru-cache, one per process, nothing shared': 'lru-cache',
};

/** Three digits, trailing zeros included. */
const rate = (perSecond: number): string => `${(perSecond / 1e6).toPrecision(3)} M/s`;
const time = (ns: number): string => (ns < 1_000 ? `${Math.round(ns)} ns` : `${Math.round(ns / 1_000)} µs`);

test('the figures in the README are those of the last saved run', (t) => {
  const results = JSON.parse(read('bench/results/linux-x64.json')) as Results;
  const readme = read('README.md').replaceAll(/\s+/g, ' ');
  const { cpu, cores, memory, system, node } = results.machine;
  for (const fact of [`${cpu} with ${cores} cores, ${memory}, ${system}`, `Node.js ${node}`]) {
    t.true(readme.includes(fact), fact);
  }
  for (const [title, contender] of Object.entries(ROWS)) {
    const latency = results.latency.find(
      (cell) => cell.contender === contender && cell.set === 'object' && cell.way === 'awaited',
    );
    const rates = ['get-object', 'set-object', 'incr'].map(
      (workload) =>
        results.throughput.find(
          (cell) =>
            cell.contender === contender && cell.workload === workload && cell.workers === 2 && cell.inFlight === 64,
        )?.rate,
    );
    const cells = [time(latency?.ns ?? NaN), ...rates.map((perSecond) => rate(perSecond ?? NaN))];
    const row = `| ${title} | ${cells.join(' | ')} |`;
    t.true(readme.includes(row), `the README should have: ${row}`);
  }
});
