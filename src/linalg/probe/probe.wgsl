// y = A x for four vectors at once: residuals and norms from a few random sign vectors.
//
// A row of A meets x, whose rows hold one entry of each of the four vectors. The float64 twin is
// probes.ts, which also says why signs. Joined with a form of reduce/.

override FROM_SIGNS: bool = false;   // x is the sign vectors themselves
override MINUS_SIGNS: bool = false;  // y = A x - signs
override PREPARED: bool = false;     // A stands for 2^exponent * (A + shift I)
override LOWER: bool = false;        // what A holds above its diagonal counts as zero
override TRANSPOSED: bool = false;   // A^T x

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;    // [batch, side, side]
@group(0) @binding(1) var<storage, read> x: array<vec4f>;  // [batch, side]
@group(0) @binding(2) var<storage, read> states: array<MatrixState>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 64u;
alias Value = vec4f;

// One workgroup a row of y.
@compute @workgroup_size(LANES)
fn probe(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let side = params.side;
  let i = group.x;
  let size = u32(states[group.z].size);
  var scale = 1.0;
  if (PREPARED) { scale = power_of_two(states[group.z].exponent); }

  var mine = vec4f(0.0);
  for (var j = lane; j < size; j += LANES) {
    let at = select(i * side + j, j * side + i, TRANSPOSED);
    let is_zero = LOWER && select(j > i, i > j, TRANSPOSED);
    let value = select(scale * a[group.z * side * side + at], 0.0, is_zero);
    mine += value * x_at(group.z, j);
  }
  var result = sum_of(mine, lane);
  if (lane > 0) { return; }
  if (PREPARED) { result += scale * states[group.z].shift * x_at(group.z, i); }
  if (MINUS_SIGNS) { result -= signs(i); }
  y[group.z * side + i] = select(result, vec4f(0.0), i >= size);
}

fn x_at(matrix: u32, j: u32) -> vec4f {
  if (FROM_SIGNS) { return signs(j); }
  return x[matrix * params.side + j];
}
