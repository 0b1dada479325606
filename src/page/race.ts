/**
 * Two nets trained side by side: one by Adam, one with curvature from the server that this page is of.
 *
 * They take turns, batch by batch, and each has its own clock: a step's time is from its beginning to
 * its loss, the server's work and the way there included.
 *
 * @module
 */
import type { LabelledImages } from "@/datasets/mod.ts";
import { type Batch, batchesOf, disposeBatch } from "@/networks/mod.ts";
import { type NetName, NETS } from "./nets.ts";
import { CurvatureOptimizer, type CurvatureOptions, CurvdClient, tf } from "./trainer.ts";

export interface RaceSettings {
  readonly model: NetName;
  readonly method: NonNullable<CurvatureOptions["method"]>;
  readonly rate: number;
  readonly damping: number;
  readonly adamRate: number;
  readonly batchSize: number;
  readonly key: string;
}

/** A training curve so far: values of step 1, 2, … */
export interface Track {
  readonly losses: number[];
  /** Seconds spent until after each step. */
  readonly seconds: number[];
}

export interface Standing {
  readonly adam: Track;
  readonly curvature: Track;
  /** Steps since the statistics of the curvature in use, of each step. */
  readonly ages: number[];
  /** Preconditioners so far. */
  readonly version: number;
  /** The session, once there is one. */
  readonly session: string | null;
}

/** Steps from one batch of statistics to the next, and from one preconditioner to the next. */
const STATISTICS_EVERY = 5;
const REFRESH_EVERY = 10;
const SEED = 1;

/**
 * Trains until told to stop.
 *
 * @param onRound called after each step of both; what it returns is waited for, so that the page can draw.
 * @throws CurvdError as the server refuses; TypeError where it cannot be reached at first.
 */
export async function race(
  settings: RaceSettings,
  digits: LabelledImages,
  onRound: (standing: Standing) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { make, loss, batchAt, klClip } = NETS[settings.model];
  const client = new CurvdClient(location.origin, { key: settings.key || undefined });
  const [ofAdam, ofCurvature] = [make(SEED), make(SEED)];
  const adam = tf.train.adam(settings.adamRate);
  const optimizer = new CurvatureOptimizer(ofCurvature, client, {
    loss,
    method: settings.method,
    learningRate: settings.rate,
    damping: settings.damping,
    klClip,
    statisticsEvery: STATISTICS_EVERY,
    refreshEvery: REFRESH_EVERY,
    session: { idle_seconds: 600 }, // a closed tab says no goodbye
    seed: SEED,
  });
  const adamStep = async ({ inputs, targets }: Batch): Promise<number> => {
    const forward = () => loss.loss(targets, ofAdam.apply(inputs, { training: true }) as tf.Tensor);
    const variables = ofAdam.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const cost = adam.minimize(forward, true, variables) as tf.Scalar;
    const [value] = await cost.data();
    cost.dispose();
    return value;
  };

  const tracks = { adam: newTrack(), curvature: newTrack() };
  const ages: number[] = [];
  const batches = batchesOf(
    digits.count,
    settings.batchSize,
    SEED,
    (places) => batchAt(digits, places),
  );
  try {
    while (!signal.aborted) {
      const batch = batches.next().value;
      await timed(tracks.adam, () => adamStep(batch));
      let version = 0;
      await timed(tracks.curvature, async () => {
        const report = await optimizer.step(batch.inputs, batch.targets);
        ages.push(report.age);
        version = report.version;
        return report.loss;
      });
      disposeBatch(batch);
      await onRound({ ...tracks, ages, version, session: optimizer.status.session });
    }
  } finally {
    await optimizer.close().catch(() => {}); // the server may be what failed
    adam.dispose();
    ofAdam.dispose();
    ofCurvature.dispose();
  }
}

function newTrack(): Track {
  return { losses: [], seconds: [] };
}

async function timed({ losses, seconds }: Track, step: () => Promise<number>): Promise<void> {
  const begun = performance.now();
  losses.push(await step());
  seconds.push((seconds.at(-1) ?? 0) + (performance.now() - begun) / 1000);
}
