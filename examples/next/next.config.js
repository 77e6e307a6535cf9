// Next.js bundles packages. A native addon cannot be bundled, so this package stays in node_modules.
module.exports = { serverExternalPackages: ['clustered-cache'] };
