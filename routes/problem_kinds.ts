/** `GET /problems/{code}`: what a problem's `type` refers to. @module */
import type { Context } from "hono";
import { CurvdError, type ErrorCode } from "@/errors.ts";
import { PROBLEMS, typeOf } from "./problem.ts";

export function answerProblemKind(c: Context): Response {
  const code = c.req.param("code") ?? "";
  if (!Object.hasOwn(PROBLEMS, code)) {
    throw new CurvdError("not-found", `There is no problem "${code}"`, {
      limit: Object.keys(PROBLEMS),
    });
  }
  const [status, title] = PROBLEMS[code as ErrorCode];
  return c.json({ type: typeOf(code as ErrorCode), title, status });
}
