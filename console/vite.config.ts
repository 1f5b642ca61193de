import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Puts a compressed file beside each file that is worth it, so that the server never compresses. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      for (const entry of readdirSync("dist", { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        const plain = readFileSync(file);
        const small = brotliCompressSync(plain, {
          params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
        });
        if (small.length < plain.length * 0.9) writeFileSync(`${file}.br`, small);
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), compressed()],
  // The server's policy allows data: for images only, and no inline scripts at all.
  build: { target: "es2023", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // For development beside a running server: npm run dev, PALISADE=https://localhost:8443.
  server: {
    proxy: { "/api": { target: process.env["PALISADE"] ?? "https://localhost:8443", secure: false } },
  },
});
