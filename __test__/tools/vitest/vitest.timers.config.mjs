// oxlint-disable-next-line import/no-default-export -- it is what vitest reads
export default { test: { include: ['**/timers.fake.mjs'] } };
