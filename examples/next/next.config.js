// Next.js puts packages into its bundles. A native addon cannot be there: this one stays in node_modules.
module.exports = { serverExternalPackages: ['clustered-cache'] };
