/**
 * The server's metrics, in Prometheus' words: names end in their unit, labels have few values, and none that a client chooses.
 *
 * @module
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Seconds: from a hit of a cache to a decomposition of the largest matrix. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];
const RESIDUALS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2];
const WORKS = [1, 2, 4, 8, 16, 32, 64, 128];

/** What prom-client reads from /proc, which this process has no right to: they would stand at 0. */
const UNREADABLE = [
  "process_resident_memory_bytes",
  "process_virtual_memory_bytes",
  "process_heap_bytes",
  "process_open_fds",
];

/** What became of a request. */
export interface RequestFacts {
  readonly method: string;
  /** The pattern of its path. */
  readonly route: string;
  readonly status: number;
  /** The problem's code, or empty. */
  readonly reason: string;
  readonly seconds: number;
}

/** One result matrix's report, as answers and events carry it. */
interface Report {
  readonly residual?: number;
  readonly engine?: string;
}

interface QueueFacts {
  readonly inside: number;
  readonly waiting: number;
  readonly inWork: number;
  readonly reservedBytes: number;
}

interface VitalFacts {
  readonly memory: { readonly tensors: number; readonly bytes: number };
  readonly sessions:
    | {
      readonly known: number;
      readonly inMemory: number;
      readonly bytes: number;
      readonly spilled: number;
    }
    | null;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter("curvd_requests_total", "Requests by what became of them", [
    "method",
    "route",
    "status",
    "reason",
  ]);
  readonly #durations = this.#histogram(
    "curvd_request_duration_seconds",
    "From a request's headers to the end of its answer",
    ["route"],
  );
  readonly #waits = this.#histogram(
    "curvd_queue_wait_seconds",
    "What requests waited for their turn and at the device",
    ["call"],
  );
  readonly #computing = this.#histogram(
    "curvd_compute_seconds",
    "Computing and reading, by call and the largest side to the next power of two",
    ["call", "size"],
  );
  readonly #storing = this.#histogram(
    "curvd_store_seconds",
    "What calls of sessions waited for the store",
    ["call"],
  );
  readonly #works = this.#histogram(
    "curvd_turn_works",
    "Pieces of work that shared a turn at the device",
    [],
    WORKS,
  );
  readonly #turns = this.#histogram("curvd_turn_seconds", "Turns at the device", []);
  readonly #residuals = this.#histogram(
    "curvd_residual",
    "Residuals of results, relative",
    ["call"],
    RESIDUALS,
  );
  readonly #rescues = this.#counter(
    "curvd_rescues_total",
    "Results that were done again in float64, or only there",
    ["call"],
  );
  readonly #unconverged = this.#counter(
    "curvd_not_converged_total",
    "Requests refused because a result missed its bound, also in float64",
    ["route"],
  );
  readonly #restarts = this.#counter(
    "curvd_compute_restarts_total",
    "Times the compute Worker was lost",
    [],
  );
  readonly #queue = this.#gauge("curvd_queue_requests", "Requests inside, by their state", [
    "state",
  ]);
  readonly #reserved = this.#gauge(
    "curvd_queue_reserved_bytes",
    "Memory held for the requests inside",
    [],
  );
  readonly #tensors = this.#gauge("curvd_device_tensors", "Tensors of the engine", []);
  readonly #deviceBytes = this.#gauge("curvd_device_memory_bytes", "Memory of the engine", []);
  readonly #sessions = this.#gauge("curvd_sessions", "Sessions there are, and those in memory", [
    "state",
  ]);
  readonly #sessionBytes = this.#gauge(
    "curvd_session_memory_bytes",
    "Memory of the engine that sessions take",
    [],
  );
  readonly #spills = this.#counter(
    "curvd_session_spills_total",
    "Times a session left memory for the store",
    [],
  );
  #spilled = 0;

  /** The media type of {@linkcode text}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Adds what Node tells of any process: memory, processor time, the event loop's lag, collections. For the server's life. */
  addProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
    for (const name of UNREADABLE) this.#registry.removeSingleMetric(name);
    const registers = [this.#registry];
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Resident memory size in bytes.",
      registers,
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
  }

  /** Everything, as Prometheus scrapes it. */
  async text(queue: QueueFacts): Promise<string> {
    this.#queue.set({ state: "inside" }, queue.inside);
    this.#queue.set({ state: "waiting" }, queue.waiting);
    this.#queue.set({ state: "in_work" }, queue.inWork);
    this.#reserved.set(queue.reservedBytes);
    return await this.#registry.metrics();
  }

  request({ method, route, status, reason, seconds }: RequestFacts): void {
    this.#requests.inc({ method, route, status: String(status), reason });
    this.#durations.observe({ route }, seconds);
    if (reason === "not-converged") this.#unconverged.inc({ route });
  }

  /** @param timing of an answer, in milliseconds by stage. @param size of the request, as `sizeClassOf()` has it. */
  computed(call: string, size: string, timing: Readonly<Record<string, number>>): void {
    const { wait_ms = 0, compute_ms, read_ms = 0, store_ms } = timing;
    this.#waits.observe({ call }, wait_ms / 1000);
    if (compute_ms !== undefined) {
      this.#computing.observe({ call, size }, (compute_ms + read_ms) / 1000);
    }
    if (store_ms !== undefined) this.#storing.observe({ call }, store_ms / 1000);
  }

  /** The diagnostics of layers: by layer, then by factor. */
  diagnosed(call: string, layers: Readonly<Record<string, unknown>>): void {
    for (const layer of Object.values(layers)) {
      for (const report of Object.values((layer ?? {}) as Record<string, Report | Report[]>)) {
        for (const { residual, engine } of [report].flat()) {
          if (typeof residual === "number") this.#residuals.observe({ call }, residual);
          if (engine === "float64") this.#rescues.inc({ call });
        }
      }
    }
  }

  turn({ works, milliseconds }: { works: number; milliseconds: number }): void {
    this.#works.observe(works);
    this.#turns.observe(milliseconds / 1000);
  }

  vitals({ memory, sessions }: VitalFacts): void {
    this.#tensors.set(memory.tensors);
    this.#deviceBytes.set(memory.bytes);
    if (sessions === null) return;
    this.#sessions.set({ state: "known" }, sessions.known);
    this.#sessions.set({ state: "in_memory" }, sessions.inMemory);
    this.#sessionBytes.set(sessions.bytes);
    this.#spills.inc(Math.max(0, sessions.spilled - this.#spilled)); // a new Worker counts from 0
    this.#spilled = sessions.spilled;
  }

  restarted(): void {
    this.#restarts.inc();
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge<L extends string>(name: string, help: string, labelNames: L[]): Gauge<L> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    buckets = SECONDS,
  ): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }
}
