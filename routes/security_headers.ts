/**
 * Headers that bind the browser: pages and answers are this server's own, nothing is loaded from elsewhere, nothing is
 * framed, no script stands in a page.
 *
 * @module
 */
import { secureHeaders } from "hono/secure-headers";

/** For every answer. */
export const securityHeaders = () =>
  secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'self'"],
      styleSrc: ["'self'", "'unsafe-inline'"], // Swagger UI and plots style their elements in place
      imgSrc: ["'self'", "data:"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
    },
    strictTransportSecurity: false, // of no meaning over plain HTTP
    xFrameOptions: "DENY",
    xXssProtection: false, // a filter that browsers have removed
  });
