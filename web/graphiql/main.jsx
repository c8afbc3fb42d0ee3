import "./nonce.js"; // first: whatever makes styles comes after it
import "graphiql/setup-workers/vite";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./style.css";

import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";
import jobEvents from "./examples/job-events.graphql?raw";
import overview from "./examples/overview.graphql?raw";
import signIn from "./examples/sign-in.graphql?raw";
import { fetcher } from "./fetcher.js";
import { TokenField } from "./token.jsx";

const variables = (given) => JSON.stringify(given, null, 2);
const TABS = [
  { query: overview },
  { query: signIn, variables: variables({ input: { email: "", password: "" } }) },
  { query: jobEvents, variables: variables({ jobId: "", after: null }) },
];

createRoot(document.getElementById("root")).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={TABS}
    defaultQuery=""
    defaultEditorToolsVisibility="variables"
    isHeadersEditorEnabled={false} // the token has its own field
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
  >
    <GraphiQL.Logo>
      <TokenField />
    </GraphiQL.Logo>
  </GraphiQL>,
);
