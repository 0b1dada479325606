/**
 * What a session is asked to do: what never changes (its method, layers, options) and what PATCH can.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  DEFAULT_OPTIONS,
  expectKindOf,
  heldBytes,
  type LayerSize,
  type LevenbergMarquardt,
  type MethodOptions,
  settleOptions,
  type SoapOptions,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type {
  MethodName,
  SessionLayer,
  SessionMethodName,
  SessionPatch,
  SessionRequest,
} from "@/wire/mod.ts";

/** What is the same for the whole life of a session, as it was asked for. */
export type Identity = Omit<SessionRequest, "id" | keyof Settings | "damping">;

/** What PATCH can change. */
export interface Settings {
  readonly decay: number;
  readonly refresh: SessionRequest["refresh"];
  readonly kl_clip: number | null;
  /** The rule by which λ moves, or null where it stays. */
  readonly damping_adapts: LevenbergMarquardt | null;
}

/** A request for a session, taken apart. @throws CurvdError `unsupported` where its parts are not offered together. */
export function configurationOf(
  { id: _, damping, decay, refresh, kl_clip, ...identity }: SessionRequest,
): { identity: Identity; settings: Settings; damping: number } {
  expectOffered(identity);
  return {
    identity,
    settings: { decay, refresh, kl_clip, damping_adapts: ruleOf(damping) },
    damping: valueOf(damping) ?? SOAP_EPSILON,
  };
}

/** ε of SOAP's authors. */
const SOAP_EPSILON = 1e-8;

/** Settings and λ after a PATCH. */
export function patched(
  settings: Settings,
  damping: number,
  patch: SessionPatch,
): { settings: Settings; damping: number } {
  const { damping: next, refresh = {}, ...changes } = patch;
  return {
    settings: {
      ...settings,
      ...changes,
      refresh: { ...settings.refresh, ...refresh },
      ...(next === undefined ? {} : { damping_adapts: ruleOf(next) }),
    } as Settings,
    damping: valueOf(next) ?? damping,
  };
}

type Damping = SessionRequest["damping"];

function ruleOf(damping: Damping): LevenbergMarquardt | null {
  return typeof damping === "object" ? { decay: damping.decay, every: damping.every } : null;
}

function valueOf(damping: Damping): number | undefined {
  return typeof damping === "object" ? damping.value : damping;
}

/** The methods that need gradients alone. */
export function isGradientMethod(method: SessionMethodName): method is "shampoo" | "soap" {
  return method === "shampoo" || method === "soap";
}

/** The options of a session's method at a damping. */
export function optionsOf(identity: Identity, damping: number): MethodOptions {
  const { method } = identity;
  if (isGradientMethod(method)) return { ...DEFAULT_OPTIONS, dampings: [damping] };
  return settleOptions(method as MethodName, {
    dampings: [damping],
    dampingRule: identity.damping_rule,
    pi: identity.pi,
    indefinite: identity.indefinite,
    floor: identity.floor,
    mbfBlocks: identity.mbf_blocks,
    coarseSpace: identity.coarse_space,
    rhs: identity.rhs,
    tolerance: identity.tolerance,
    maxIterations: identity.max_iterations,
    tkfacLocations: identity.tkfac_locations,
  });
}

/** SOAP's own constants; its period is the session's `refresh.every`. */
export function soapOptionsOf(
  { beta1 = 0.95, beta2 = 0.95 }: Identity,
  { decay, refresh }: Settings,
  damping: number,
): SoapOptions {
  return { beta1, beta2, decay, epsilon: damping, every: refresh.every ?? Infinity };
}

/** p of Shampoo's roots: twice the order of a matrix. */
export const SHAMPOO_ROOT = 4;

function expectOffered(identity: Identity): void {
  const { method, layers } = identity;
  for (const [name, { kind }] of Object.entries(layers)) {
    if (!isGradientMethod(method)) expectKindOf(method as MethodName, kind, name);
    else if (kind !== "dense" && kind !== "conv2d") {
      throw new CurvdError(
        "unsupported",
        `Layer "${name}": ${method} is not offered for ${kind} layers, only for dense, conv2d`,
        { layer: name, value: kind, limit: ["dense", "conv2d"] },
      );
    }
  }
  if (isGradientMethod(method)) {
    for (const field of ["damping_rule", "pi"] as const) {
      if (identity[field] === undefined) continue;
      throw new CurvdError("unsupported", `Method ${method} does not take ${field}`, {
        pointer: `/${field}`,
        value: identity[field],
      });
    }
  }
  optionsOf(identity, 0);
}

/** A digest of what two sessions must share for one's state to make sense in the other. */
export function hashOf(identity: Identity): string {
  return createHash("sha256").update(JSON.stringify(sorted(meaningOf(identity)))).digest("hex");
}

/** The fields in which two configurations differ, as pointers; none where state can pass from one to the other. */
export function differencesOf(one: Identity, other: Identity): string[] {
  const [a, b] = [leavesOf(meaningOf(one)), leavesOf(meaningOf(other))];
  return [...new Set([...a.keys(), ...b.keys()])].filter((path) => a.get(path) !== b.get(path))
    .sort();
}

/** Where and how long state is kept says nothing of what it means. */
function meaningOf({ durability: _, idle_seconds: __, ...meaning }: Identity): unknown {
  return meaning;
}

function leavesOf(value: unknown, path = "", leaves = new Map<string, string>()) {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) leavesOf(inner, `${path}/${key}`, leaves);
  } else if (value !== undefined) leaves.set(path, JSON.stringify(value));
  return leaves;
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1).map(([k, v]) => [k, sorted(v)]),
  );
}

/** Bytes that a session will hold at the least, of the layers whose sizes are stated. */
export function leastBytesOf({ method, layers }: Identity): number {
  const sizes = Object.values(layers).map(sizeOf);
  const known = sizes.filter((size) => size !== null);
  const total = (of: readonly LayerSize[]) =>
    heldBytes(method, of, 0).reduce((sum, bytes) => sum + bytes, 0);
  return known.length === sizes.length
    ? total(known)
    : known.reduce((sum, size) => sum + total([size]), 0); // what couples neighbours is not known
}

/** A layer's sizes as far as memory goes; null where they are learned from the first statistics. */
export function sizeOf(layer: SessionLayer): LayerSize | null {
  const plain = {
    groups: 1,
    hasBias: false,
    locations: 1,
    taps: 1,
    inputValues: 0,
    outputValues: 0,
  };
  switch (layer.kind) {
    case "dense": {
      const { kind, d_in, d_out, bias: hasBias } = layer;
      if (!d_in || !d_out) return null;
      return { ...plain, kind, hasBias, dIn: d_in + Number(hasBias), dOut: d_out };
    }
    case "conv2d": {
      const { kind, groups, c_in, c_out, kernel_size, bias: hasBias } = layer;
      if (!c_in || !c_out || !kernel_size) return null;
      const taps = kernel_size[0] * kernel_size[1];
      const dIn = c_in / groups * taps + Number(hasBias), dOut = c_out / groups;
      return { ...plain, kind, groups, hasBias, taps, dIn, dOut };
    }
    case "embedding": {
      const { kind, vocabulary: dIn, d_out: dOut } = layer;
      return dOut ? { ...plain, kind, dIn, dOut } : null;
    }
    case "scale_and_shift": {
      const { kind, features, block } = layer;
      return { ...plain, kind, isDiagonal: block === "diagonal", dIn: 2 * features, dOut: 1 };
    }
  }
}
