// The results as pictures: SVG without scripts, fonts or any dependency, on a card of its own, so that it is legible
// on light and dark pages alike.

import { micros, rate } from './table.mjs';

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

const MANY = { workers: 2, inFlight: 64 };
const ONE = { workers: 1, inFlight: 1 };
/** It shares nothing, so that its bar would say nothing and dwarf all others. */
const FLOOR = 'lru-cache';

const STYLE = `
  text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; fill: #1f2328 }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .title { font-size: 18px; font-weight: 650 }
  .label { font-size: 14px; font-weight: 550 }
  .number { font-size: 13px; font-variant-numeric: tabular-nums }
  .note, .head { font-size: 12px; fill: #59636e }
  .head { font-weight: 600 }
  .line { stroke: #d1d9e0 }
  .bar { fill: #9fb0c3 }
  .tail { stroke: #9fb0c3 }
  .ours.bar { fill: #d9480f }
  .ours.tail { stroke: #d9480f }
  .ours.number, .ours.label { font-weight: 700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .card { fill: #151b23; stroke: #3d444d }
    .note, .head { fill: #9198a1 }
    .line { stroke: #3d444d }
    .bar { fill: #566578 }
    .tail { stroke: #566578 }
    .ours.bar { fill: #f76707 }
    .ours.tail { stroke: #f76707 }
  }`;

/** The charts that these results suffice for, by file name. */
export function drawCharts(name, results) {
  const charts = {
    [`${name}-throughput.svg`]: throughputChart(results),
    [`${name}-latency.svg`]: latencyChart(results),
  };
  return Object.fromEntries(Object.entries(charts).filter(([, svg]) => svg !== undefined));
}

function throughputChart(results) {
  const panels = [
    ['get', 'get-object'],
    ['set', 'set-object'],
    ['incr', 'incr'],
  ].map(([title, workload]) => ({ title, cells: cellsOf(results, workload, MANY) }));
  const contenders = contendersIn(results, panels);
  if (!contenders) return undefined;

  const width = (WIDTH - 2 * EDGE - LABELS - (panels.length - 1) * GAP) / panels.length;
  const body = panels.map(({ title, cells }, column) => {
    const left = EDGE + LABELS + column * (width + GAP);
    const longest = Math.max(...contenders.map((contender) => cells.get(contender).rate));
    const scale = (width - NUMBER) / longest;
    return [
      heading(left, title),
      axis(left, contenders.length),
      ...contenders.map((contender, index) => {
        const { rate: found } = cells.get(contender);
        return bar({ contender, left, row: index, length: found * scale, number: rate(found) });
      }),
    ];
  });
  return card({
    title: 'Operations per second, all workers together',
    subtitle: '2 workers with 64 operations in flight each; objects of 250 B; longer is better',
    contenders,
    results,
    body,
    note: floorNote(results, MANY, (cell) => `${rate(cell.rate)} gets per second`),
  });
}

function latencyChart(results) {
  const cells = cellsOf(results, 'get-object', ONE);
  const contenders = contendersIn(results, [{ cells }]);
  if (!contenders) return undefined;

  const left = EDGE + LABELS;
  const longest = Math.max(...contenders.map((contender) => cells.get(contender).p99));
  const scale = (WIDTH - EDGE - left - 3.2 * NUMBER) / longest;
  const body = contenders.map((contender, index) => {
    const { p50, p99 } = cells.get(contender);
    const number = `${micros(p50)}  (99 %: ${micros(p99)})`;
    return bar({ contender, left, row: index, length: p50 * scale, tail: p99 * scale, number });
  });
  return card({
    title: 'Time of one get',
    subtitle: '1 worker, one at a time, objects of 250 B; bar: median, line: 99th percentile; shorter is better',
    contenders,
    results,
    body: [heading(left, 'microseconds'), axis(left, contenders.length), body],
    note: floorNote(results, ONE, (cell) => micros(cell.p50)),
  });
}

const cellsOf = ({ throughput = [] }, workload, load) =>
  new Map(
    throughput
      .filter((cell) => cell.workload === workload && cell.workers === load.workers && cell.inFlight === load.inFlight)
      .map((cell) => [cell.contender, cell]),
  );

/** Contenders with a figure in every panel; none unless this package and somebody else is among them. */
function contendersIn({ contenders }, panels) {
  const names = Object.keys(contenders ?? {}).filter(
    (name) => name !== FLOOR && panels.every(({ cells }) => cells.has(name)),
  );
  return names.length > 1 && isOurs(names[0]) ? names : undefined;
}

const isOurs = (contender) => contender === 'clustered-cache';

function floorNote(results, load, say) {
  const floor = cellsOf(results, 'get-object', load).get(FLOOR);
  return floor && `Not shown: ${FLOOR} in each process by itself, which shares nothing: ${say(floor)}.`;
}

// --- drawing -----------------------------------------------------------------------------------------------------

function card({ title, subtitle, contenders, results, body, note }) {
  const height = HEAD + contenders.length * ROW + FOOT;
  const bottom = HEAD + contenders.length * ROW;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escaped(`${title}. ${subtitle}`)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>`,
    text('title', EDGE, 36, title),
    text('note', EDGE, 57, subtitle),
    ...contenders.map((contender, row) => label(contender, row, results)),
    ...body.flat(Infinity),
    text('note', EDGE, bottom + 24, note),
    text('note', EDGE, bottom + (note ? 42 : 24), machineLine(results)),
    '</svg>',
  ];
  return `${lines.filter(Boolean).join('\n')}\n`;
}

function machineLine({ machine, versions, date }) {
  const redis = versions.redisServer ? `, Redis ${versions.redisServer}` : '';
  return `${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node.js ${machine.node}${redis}; ${date}`;
}

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

/** A bar with its number behind it; `tail` draws a line on to there. */
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

const text = (kind, x, y, content) =>
  content && `<text class="${kind}" x="${x}" y="${y}" xml:space="preserve">${escaped(content)}</text>`;

const fixed = (number) => Number(number.toFixed(1));

const escaped = (content) => content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
