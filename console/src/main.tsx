import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/shell.css";
import { App } from "./app";
import { SessionProvider } from "./api/session";
import { Router } from "./router";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Whether there is a network is for a request to find out: the server may be on this machine.
      networkMode: "always",
      staleTime: 3_000,
      // What failed is shown at once, and asked again at the page's own pace.
      retry: false,
      refetchIntervalInBackground: false,
    },
    mutations: { networkMode: "always", retry: false },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <SessionProvider>
          <Router>
            <App />
          </Router>
        </SessionProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
}
