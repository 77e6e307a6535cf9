'use strict';
// Saves the measurements of long tests beside the results of the benchmark. CommonJS, because both the scripts and the
// specs load it.

const { existsSync, mkdirSync, readFileSync, writeFileSync } = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const FILE = path.join(__dirname, '../../bench/results', `${process.platform}-${process.arch}-hosts.json`);

const kept = () => (existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {});

/** Saves figures, an object of numbers, under a title, with the machine and the day. */
exports.keepFigures = (title, figures) => {
  const { version } = process;
  const about = { node: version, cores: os.availableParallelism(), date: new Date().toISOString().slice(0, 10) };
  mkdirSync(path.dirname(FILE), { recursive: true });
  const sorted = Object.entries({ ...kept(), [title]: { ...figures, ...about } }).sort(([one], [other]) =>
    one < other ? -1 : 1,
  );
  writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
};
