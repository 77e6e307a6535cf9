// The results as pictures: SVG without scripts, fonts or any dependency, on a card of its own, so that it is legible
// on light and dark pages alike.

import { OURS } from './contender.mjs';
import { bytes, micros, nanos, rate } from './table.mjs';

const WIDTH = 880;
const EDGE = 28;
const HEAD = 96;
const ROW = 44;
const BAR = 18;
const FOOT = 60;
const LABELS = 268;
const GAP = 22;
/** Room at the end of the longest bar for its number. */
const NUMBER = 54;
/** Height of a line chart. */
const PLOT = 320;
/** Room for the names to the right of the lines. */
const NAMES = 150;

const MANY = { workers: 2, inFlight: 64 };
const ONE = { workers: 1, inFlight: 1 };
/**
 * These answer from the worker's own heap, so their bars would dwarf all others without saying anything about rates.
 */
const OWN_HEAP = ['near', 'lmdb-cached', 'lru-cache'];

const STYLE = `
  text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; fill: #1f2328 }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .title { font-size: 18px; font-weight: 650 }
  .label { font-size: 14px; font-weight: 550 }
  .number { font-size: 13px; font-variant-numeric: tabular-nums }
  .note, .head, .tick { font-size: 12px; fill: #59636e }
  .head { font-weight: 600 }
  .line, .grid { stroke: #d1d9e0 }
  .grid { stroke-dasharray: 2 3 }
  .bar, .dot { fill: #8a9bb0 }
  .tail, .ring, .stem, .curve { stroke: #8a9bb0; fill: none }
  .ring { fill: #ffffff }
  .ours.bar, .ours.dot { fill: #d9480f }
  .ours.tail, .ours.ring, .ours.stem, .ours.curve { stroke: #d9480f }
  .ours.number, .ours.label { font-weight: 700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .card { fill: #151b23; stroke: #3d444d }
    .note, .head, .tick { fill: #9198a1 }
    .line, .grid { stroke: #3d444d }
    .bar, .dot { fill: #66788d }
    .tail, .ring, .stem, .curve { stroke: #66788d }
    .ring { fill: #151b23 }
    .ours.bar, .ours.dot { fill: #f76707 }
    .ours.tail, .ours.ring, .ours.stem, .ours.curve { stroke: #f76707 }
  }`;

/** The charts that can be drawn from these results, by file name. */
export function drawCharts(name, results) {
  const charts = {
    [`${name}-hit.svg`]: hitChart(results),
    [`${name}-growth.svg`]: growthChart(results),
    [`${name}-sizes.svg`]: sizesChart(results),
    [`${name}-throughput.svg`]: throughputChart(results),
    [`${name}-latency.svg`]: latencyChart(results),
  };
  return Object.fromEntries(Object.entries(charts).filter(([, svg]) => svg !== undefined));
}

// --- the charts --------------------------------------------------------------------------------------------------

/** The time of a hit, on a logarithmic scale: a dot for a synchronous read, a ring for an awaited one. */
function hitChart(results) {
  const panels = [
    ['object of 250 B', 'object'],
    ['string of 1 KiB', 'text'],
  ].map(([title, set]) => ({ title, find: finder(results.latency, { set }) }));
  const contenders = contendersIn(results, (name) => panels.every(({ find }) => find(name, { way: 'awaited' })));
  if (!contenders) return undefined;

  const width = (WIDTH - 2 * EDGE - LABELS - (panels.length - 1) * 2 * GAP) / panels.length;
  const all = (results.latency ?? []).filter(({ set }) => set === 'object' || set === 'text').map(({ ns }) => ns);
  const body = panels.map(({ title, find }, column) => {
    const left = EDGE + LABELS + column * (width + 2 * GAP);
    const scale = logarithmic(all, left, width - NUMBER - 14);
    return [
      heading(left, title),
      ...scale.ticks.map(({ at, value }) => gridline({ at, text: tick(value), rows: contenders.length })),
      ...contenders.map((contender, row) => {
        const [sync, awaited] = ['sync', 'awaited'].map((way) => find(contender, { way })?.ns);
        return hit({
          contender,
          left,
          row,
          sync: sync && scale.at(sync),
          awaited: scale.at(awaited),
          ns: sync ?? awaited,
        });
      }),
    ];
  });
  return rowsCard({
    title: 'Latency of a hit in a cluster worker',
    subtitle: '2 workers at once, one read at a time, medians; logarithmic scale, further left is faster',
    contenders,
    results,
    body,
    legend: 'filled: read at once, where there is such a way; hollow: awaited',
    ticks: true,
  });
}

function growthChart(results) {
  return curvesChart(results, {
    title: 'Latency of a hit as the cache grows',
    subtitle: '2 workers at once, strings of 16 B in random order, medians; both scales logarithmic, lower is faster',
    contenders: ['shared', 'lmdb', 'lru-cache'],
    cells: results.growth ?? [],
    x: 'entries',
    show: (value) => `${value.toLocaleString('en')} entries`,
  });
}

function sizesChart(results) {
  return curvesChart(results, {
    title: 'Latency of a hit by size of the string',
    subtitle: '2 workers at once, read at once where that can be, medians; both scales logarithmic, lower is faster',
    contenders: ['near', 'shared', 'socket', 'cluster-ipc', 'ioredis', 'lmdb', 'lru-cache'],
    cells: (results.sizes ?? []).filter(({ kind }) => kind === 'text'),
    x: 'bytes',
    show: bytes,
  });
}

function throughputChart(results) {
  const panels = [
    ['get', 'get-object'],
    ['set', 'set-object'],
    ['incr', 'incr'],
  ].map(([title, workload]) => ({ title, find: finder(results.throughput, { workload, ...MANY }) }));
  const contenders = contendersIn(
    results,
    (name) => !OWN_HEAP.includes(name) && panels.every(({ find }) => find(name)),
  );
  if (!contenders) return undefined;

  const width = (WIDTH - 2 * EDGE - LABELS - (panels.length - 1) * GAP) / panels.length;
  const body = panels.map(({ title, find }, column) => {
    const left = EDGE + LABELS + column * (width + GAP);
    const longest = Math.max(...contenders.map((contender) => find(contender).rate));
    const scale = (width - NUMBER) / longest;
    return [
      heading(left, title),
      axis(left, contenders.length),
      ...contenders.map((contender, row) => {
        const { rate: found } = find(contender);
        return bar({ contender, left, row, length: found * scale, number: rate(found) });
      }),
    ];
  });
  return rowsCard({
    title: 'Operations per second, all workers together',
    subtitle: '2 workers with 64 operations in flight each; objects of 250 B; longer is better',
    contenders,
    results,
    body,
    legend: notShown(panels[0].find, results),
  });
}

/** A note on the contenders that answer from the worker's own heap. */
function notShown(find, { contenders }) {
  const said = OWN_HEAP.filter((name) => name in contenders && find(name)).map(
    (name) => `${name} ${rate(find(name).rate)}`,
  );
  return said.length > 0 && `Not shown are those that keep values in the worker; gets per second: ${said.join(', ')}`;
}

function latencyChart(results) {
  const find = finder(results.throughput, { workload: 'get-object', ...ONE });
  const contenders = contendersIn(results, (name) => !OWN_HEAP.includes(name) && find(name));
  if (!contenders) return undefined;

  const left = EDGE + LABELS;
  const longest = Math.max(...contenders.map((contender) => find(contender).p99));
  const scale = (WIDTH - EDGE - left - 3.2 * NUMBER) / longest;
  const body = contenders.map((contender, row) => {
    const { p50, p99 } = find(contender);
    const number = `${micros(p50)}  (99 %: ${micros(p99)})`;
    return bar({ contender, left, row, length: p50 * scale, tail: p99 * scale, number });
  });
  return rowsCard({
    title: 'Time of one get',
    subtitle: '1 worker, one at a time, objects of 250 B; bar: median, line: 99th percentile; shorter is better',
    contenders,
    results,
    body: [heading(left, 'microseconds'), axis(left, contenders.length), body],
  });
}

// --- results -----------------------------------------------------------------------------------------------------

/** A function that finds the cell of a contender among those with these members. */
function finder(cells = [], members) {
  const having = (one, wanted) => Object.entries(wanted).every(([name, value]) => one[name] === value);
  const own = cells.filter((one) => having(one, members));
  return (contender, more = {}) => own.find((one) => one.contender === contender && having(one, more));
}

/** Contenders for which there are figures; none unless this package and another contender are among them. */
function contendersIn({ contenders }, has) {
  const names = Object.keys(contenders ?? {}).filter((name) => has(name));
  return names.some(isOurs) && !names.every(isOurs) ? names : undefined;
}

const isOurs = (contender) => OURS.includes(contender);

// --- scales ------------------------------------------------------------------------------------------------------

/** Up to this many powers of ten, there is room for lines between them. */
const NARROW = 2.5;

/** A logarithmic scale over all values, in `length` from `start` on, with its marks. */
function logarithmic(values, start, length) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const steps = Math.log10(most / least) < NARROW ? [1, 2, 5] : [1];
  const marks = [];
  for (let power = Math.floor(Math.log10(least)); marks.length === 0 || marks.at(-1) < most; power++) {
    marks.push(...steps.map((step) => step * 10 ** power));
  }
  const from = marks.findLastIndex((mark, index) => index === 0 || mark <= least);
  const to = marks.findIndex((mark, index) => index > from && mark >= most);
  const at = (value) => start + (Math.log(value / marks[from]) / Math.log(marks[to] / marks[from])) * length;
  return { at, ticks: marks.slice(from, to + 1).map((value) => ({ value, at: at(value) })) };
}

/** A round time in nanoseconds. */
function tick(value) {
  if (value >= 1e6) return `${value / 1e6} ms`;
  return value >= 1e3 ? `${value / 1e3} \u00b5s` : `${value} ns`;
}

// --- drawing -----------------------------------------------------------------------------------------------------

/** A picture of one row for each contender. */
function rowsCard({ title, subtitle, contenders, results, body, legend, ticks }) {
  const bottom = HEAD + contenders.length * ROW + (ticks ? 20 : 0);
  return card({
    title,
    subtitle,
    results,
    bottom,
    legend,
    body: [...contenders.map((contender, row) => label(contender, row, results)), body],
  });
}

function card({ title, subtitle, results, bottom, legend, body }) {
  const height = bottom + FOOT;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(`${title}. ${subtitle}`)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>`,
    text('title', EDGE, 36, title),
    text('note', EDGE, 57, subtitle),
    ...body.flat(Infinity),
    text('note', EDGE, bottom + 24, legend),
    text('note', EDGE, bottom + (legend ? 42 : 24), machineLine(results)),
    '</svg>',
  ];
  return `${lines.filter(Boolean).join('\n')}\n`;
}

function machineLine({ machine, versions, date }) {
  const redis = versions.redisServer ? `, Redis ${versions.redisServer}` : '';
  return `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node.js ${machine.node}${redis}; ${date}`;
}

/** Curves over a logarithmic scale, each with its name where it ends. */
function curvesChart(results, { title, subtitle, contenders, cells, x, show }) {
  const values = [...new Set(cells.map((cell) => cell[x]))].sort((a, b) => a - b);
  const found = contenders
    .map((contender) => ({ contender, points: cells.filter((cell) => cell.contender === contender) }))
    .filter(({ points }) => points.length === values.length);
  if (values.length < 2 || !found.some(({ contender }) => isOurs(contender))) return undefined;

  const [left, right] = [EDGE + 52, WIDTH - EDGE - NAMES];
  const [top, bottom] = [HEAD - 14, HEAD - 14 + PLOT];
  const [least, most] = [Math.log(values[0]), Math.log(values.at(-1))];
  const across = (value) => left + ((Math.log(value) - least) / (most - least)) * (right - left);
  const down = logarithmic(
    found.flatMap(({ points }) => points.map(({ ns }) => ns)),
    bottom,
    top - bottom,
  );
  const names = apart(found.map(({ contender, points }) => ({ contender, ns: pointAt(points, x, values.at(-1)).ns })));
  return card({
    title,
    subtitle,
    results,
    bottom: bottom + 24,
    body: [
      ...down.ticks.map(({ at, value }) => [
        `<line class="grid" x1="${left}" x2="${right}" y1="${fixed(at)}" y2="${fixed(at)}"/>`,
        text('tick', left - 8, fixed(at + 4), tick(value), 'end'),
      ]),
      `<line class="line" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
      ...values.map((value) => text('tick', fixed(across(value)), bottom + 18, show(value), 'middle')),
      ...found.map(({ contender, points }) => {
        const ours = isOurs(contender) ? ' ours' : '';
        const places = values.map((value) => [fixed(across(value)), fixed(down.at(pointAt(points, x, value).ns))]);
        return [
          `<polyline class="curve${ours}" stroke-width="2" points="${places.map((place) => place.join()).join(' ')}"/>`,
          ...places.map(([cx, cy]) => `<circle class="dot${ours}" cx="${cx}" cy="${cy}" r="3.5"/>`),
        ];
      }),
      ...names.map(({ contender, ns, y }) =>
        text(`number${isOurs(contender) ? ' ours' : ''}`, right + 12, fixed(y + 4), `${contender}  ${nanos(ns)}`),
      ),
    ],
  });

  /** Names beside the ends of their curves, moved apart where those are close. */
  function apart(ends) {
    const placed = ends.map((end) => ({ ...end, y: down.at(end.ns) })).sort((a, b) => a.y - b.y);
    for (let index = 1; index < placed.length; index++) {
      placed[index].y = Math.max(placed[index].y, placed[index - 1].y + 17);
    }
    // Labels that were pushed below the axis push the others back up.
    for (let index = placed.length - 1, limit = bottom; index >= 0; index--, limit = placed[index + 1].y - 17) {
      placed[index].y = Math.min(placed[index].y, limit);
    }
    return placed;
  }
}

const pointAt = (points, x, value) => points.find((point) => point[x] === value);

const middle = (row) => HEAD + row * ROW + ROW / 2;

function label(contender, row, { contenders, versions }) {
  const { title, what } = contenders[contender];
  const version = versions[what] ? ` ${versions[what]}` : '';
  return [
    text(`label${isOurs(contender) ? ' ours' : ''}`, EDGE, middle(row) - 2, title),
    text('note', EDGE, middle(row) + 14, `${what}${version}`),
  ].join('\n');
}

const heading = (left, title) => text('head', left, HEAD - 8, title);

const axis = (left, rows) =>
  `<line class="line" x1="${left - 0.5}" y1="${HEAD}" x2="${left - 0.5}" y2="${HEAD + rows * ROW}"/>`;

/** A line down all rows with the value it stands for below. */
function gridline({ at, text: content, rows }) {
  const bottom = HEAD + rows * ROW;
  return [
    `<line class="grid" x1="${fixed(at)}" x2="${fixed(at)}" y1="${HEAD}" y2="${bottom}"/>`,
    text('tick', fixed(at), bottom + 15, content, 'middle'),
  ];
}

/** A dot for a synchronous read, a ring for an awaited one, and the number of the former if there is one. */
function hit({ contender, left, row, sync, awaited, ns }) {
  const ours = isOurs(contender) ? ' ours' : '';
  const y = middle(row);
  const end = Math.max(sync ?? 0, awaited);
  return [
    `<line class="stem${ours}" stroke-width="2" x1="${left}" x2="${fixed(end)}" y1="${y}" y2="${y}"/>`,
    `<circle class="ring${ours}" stroke-width="2" cx="${fixed(awaited)}" cy="${y}" r="5"/>`,
    sync && `<circle class="dot${ours}" cx="${fixed(sync)}" cy="${y}" r="6"/>`,
    text(`number${ours}`, fixed(end + 12), y + 4.5, nanos(ns)),
  ].filter(Boolean);
}

/** A bar followed by its number; `tail` extends it with a line. */
function bar({ contender, left, row, length, tail = 0, number }) {
  const ours = isOurs(contender) ? ' ours' : '';
  const y = middle(row);
  const drawn = Math.max(2, length);
  const end = left + Math.max(drawn, tail);
  return [
    `<path class="bar${ours}" d="${roundedEnd(left, y - BAR / 2, drawn, BAR)}"/>`,
    tail > drawn &&
      `<path class="tail${ours}" fill="none" stroke-width="2" d="M${fixed(left + drawn)} ${y}H${fixed(end)}m0 -5v10"/>`,
    text(`number${ours}`, fixed(end + 7), y + 4.5, number),
  ]
    .filter(Boolean)
    .join('\n');
}

function roundedEnd(x, y, width, height) {
  const radius = Math.min(3, width);
  const straight = fixed(width - radius);
  return `M${fixed(x)} ${fixed(y)}h${straight}a${radius} ${radius} 0 0 1 ${radius} ${radius}v${height - 2 * radius}a${radius} ${radius} 0 0 1 -${radius} ${radius}h-${straight}z`;
}

const text = (kind, x, y, content, anchor) =>
  content &&
  `<text class="${kind}" x="${x}" y="${y}"${anchor ? ` text-anchor="${anchor}"` : ''} xml:space="preserve">${escaped(content)}</text>`;

const fixed = (number) => Number(number.toFixed(1));

const escaped = (content) => content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
