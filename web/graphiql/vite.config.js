// hatch_build.py builds with this and names the folder; what the server fills in, rest/graphiql.py says.
export default {
  base: "/graphiql/",
  html: { cspNonce: "NONCE_OF_THE_RESPONSE" },
  build: {
    assetsInlineLimit: 0, // the policy allows files of ours, no data: URLs
    chunkSizeWarningLimit: 8192, // the editor is large, and loaded once
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
    target: "es2022",
  },
};
