export const drawCharts = () => ({});
