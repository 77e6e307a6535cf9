const { SETUP } = process.env;

// oxlint-disable-next-line import/no-default-export -- it is what vitest reads
export default { test: { setupFiles: SETUP ? [SETUP] : [] } };
