/**
 * The step itself, whatever made its direction u: momentum, weight decay, and the variables they move.
 *
 *   v ← μv + u,   θ ← θ − ηv − ηβθ        (Nesterov: u + μv in place of v; decoupled β)
 *   δ ← −αu + μδ,   θ ← θ + δ             (step size by the quadratic model)
 *
 * Sources: Sutskever et al. 2013 (momentum); Loshchilov & Hutter 2019, arXiv:1711.05101 (decoupled decay);
 * Martens & Grosse 2015, arXiv:1503.05671, section 7 (the quadratic model's momentum).
 *
 * @module
 */
import {
  add,
  addN,
  dispose,
  mul,
  type NamedTensorMap,
  type Optimizer,
  scalar,
  square,
  sub,
  sum,
  tidy,
  type Variable,
  variable,
  zerosLike,
} from "@tensorflow/tfjs";

/** As TensorFlow.js's optimizers give out and take their weights. */
export type NamedTensor = Awaited<ReturnType<Optimizer["getWeights"]>>[number];

export interface DescentSettings {
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly decay: "l2" | "decoupled";
  readonly decays: (variable: Variable) => boolean;
}

/** A direction with its learning rate η. */
export interface Direction {
  /** u by variable name; stays the caller's. */
  readonly updates: NamedTensorMap;
  readonly rate: number;
}

/** Names of what {@linkcode Descent.weights} gives out: TensorFlow.js's own momentum is named so. */
const SUFFIX = "/momentum";

export class Descent {
  readonly #velocities = new Map<string, Variable>();

  constructor(
    /** θ, by name. */
    private readonly variables: ReadonlyMap<string, Variable>,
    private readonly settings: DescentSettings,
  ) {}

  /** Adds `βθ` to the gradients, where the decay is an L2 penalty; the caller disposes the result, not what it shares. */
  penalized(gradients: NamedTensorMap): NamedTensorMap {
    const { weightDecay, decay, decays } = this.settings;
    if (weightDecay === 0 || decay !== "l2") return gradients;
    return tidy(() =>
      Object.fromEntries(
        Object.entries(gradients).map(([name, gradient]) => {
          const theta = this.#variable(name);
          return [name, decays(theta) ? add(gradient, mul(theta, weightDecay)) : gradient.clone()];
        }),
      )
    );
  }

  /** `β/2 ‖θ‖²`, where the decay is an L2 penalty, else 0. */
  async penalty(): Promise<number> {
    const { weightDecay, decay, decays } = this.settings;
    if (weightDecay === 0 || decay !== "l2") return 0;
    const squares = tidy(() => {
      const each = [...this.variables.values()].filter(decays).map((theta) => sum(square(theta)));
      return each.length === 0 ? scalar(0) : addN(each);
    });
    const [total] = await squares.data();
    squares.dispose();
    return weightDecay / 2 * total;
  }

  /** Takes a step along each direction; each variable is in one of them at most. */
  step(...directions: Direction[]): void {
    const { momentum: mu, nesterov, weightDecay, decay, decays } = this.settings;
    for (const { updates, rate } of directions) {
      for (const [name, u] of Object.entries(updates)) {
        const theta = this.#variable(name);
        tidy(() => {
          let direction = u;
          if (mu > 0) {
            const velocity = this.#velocity(name);
            const v = add(mul(velocity, mu), u);
            velocity.assign(v);
            direction = nesterov ? add(u, mul(v, mu)) : v;
          }
          const shrunk = weightDecay > 0 && decay === "decoupled" && decays(theta)
            ? mul(theta, 1 - rate * weightDecay)
            : theta;
          theta.assign(sub(shrunk, mul(direction, rate)));
        });
      }
    }
  }

  /** The quadratic model's step; δ is kept for the next. */
  quadraticStep(updates: NamedTensorMap, { alpha, mu }: { alpha: number; mu: number }): void {
    for (const [name, u] of Object.entries(updates)) {
      const theta = this.#variable(name);
      tidy(() => {
        const last = this.#velocity(name);
        const delta = sub(mul(last, mu), mul(u, alpha));
        last.assign(delta);
        theta.assign(add(theta, delta));
      });
    }
  }

  /** Velocities by variable name and suffix; they stay the optimizer's. */
  weights(): NamedTensor[] {
    return [...this.#velocities].map(([name, tensor]) => ({ name: name + SUFFIX, tensor }));
  }

  /** Takes velocities over, as {@linkcode Descent.weights} named them; others are forgotten. @throws RangeError for a name that is no variable's. */
  setWeights(weights: readonly NamedTensor[]): void {
    this.dispose();
    for (const { name, tensor } of weights) {
      const of = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name;
      this.#variable(of);
      this.#velocities.set(of, variable(tensor, false));
    }
  }

  dispose(): void {
    dispose([...this.#velocities.values()]);
    this.#velocities.clear();
  }

  #variable(name: string): Variable {
    const theta = this.variables.get(name);
    if (theta === undefined) {
      throw new RangeError(`Cannot move "${name}" as it is no trainable variable of the model`);
    }
    return theta;
  }

  #velocity(name: string): Variable {
    let velocity = this.#velocities.get(name);
    if (velocity === undefined) {
      velocity = tidy(() => variable(zerosLike(this.#variable(name)), false));
      this.#velocities.set(name, velocity);
    }
    return velocity;
  }
}
