/**
 * Headers that bind the browser: pages and answers are this server's own, nothing is loaded from elsewhere, nothing is
 * framed, no script stands in a page.
 *
 * @module
 */
import { secureHeaders } from "hono/secure-headers";

type Options = NonNullable<Parameters<typeof secureHeaders>[0]>;

const POLICY = {
  defaultSrc: ["'self'"],
  styleSrc: ["'self'", "'unsafe-inline'"], // Swagger UI and plots style their elements in place
  imgSrc: ["'self'", "data:", "blob:"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
} satisfies Options["contentSecurityPolicy"];

const COMMON = {
  strictTransportSecurity: false, // of no meaning over plain HTTP
  xFrameOptions: "DENY",
  xXssProtection: false, // a filter that browsers have removed
} satisfies Options;

/** For every answer. */
export const securityHeaders = () => secureHeaders({ ...COMMON, contentSecurityPolicy: POLICY });

/** For the page that trains: TensorFlow.js compiles WebAssembly, and may do so in a Worker. */
export const computingPageHeaders = () =>
  secureHeaders({
    ...COMMON,
    contentSecurityPolicy: {
      ...POLICY,
      scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
      workerSrc: ["'self'", "blob:"],
    },
  });
