/**
 * The OpenAPI document of a server with keys: which operations ask for one, and for which scope.
 *
 * @module
 */
import { inferenceProblems } from "./inference_protocol/openapi.ts";
import { scopeOf } from "./keys.ts";
import { problems } from "./openapi.ts";

type Document = Record<string, unknown>;
type Operation = { responses: Record<string, unknown> };

/** The document with the scheme, and on each operation what routes/keys.ts asks of it. */
export function withKeys(document: Document): Document {
  const paths = Object.entries(document.paths as Record<string, Record<string, Operation>>);
  return {
    ...document,
    paths: Object.fromEntries(paths.map(([path, operations]) => [
      path,
      Object.fromEntries(
        Object.entries(operations).map((
          [method, operation],
        ) => [method, guarded(path, method, operation)]),
      ),
    ])),
    components: {
      ...document.components as Document,
      securitySchemes: {
        key: {
          type: "http",
          scheme: "bearer",
          description: "A key made by `deno task key`; sessions belong to the key that opened them",
        },
      },
    },
  };
}

function guarded(path: string, method: string, operation: Operation): Operation {
  const scope = scopeOf({ method: method.toUpperCase(), path });
  if (scope === null) return operation;
  const refusals = path.startsWith("/v2") ? inferenceProblems : problems;
  const responses = { ...operation.responses, ...refusals([401, 403]) };
  return { ...operation, security: [{ key: [scope] }], responses } as Operation;
}
