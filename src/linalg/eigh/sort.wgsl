// Puts eigenpairs in ascending order and sums up how good they are.

struct Params {
  side: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>;                    // [batch, side, side]
// [batch, side]: w_j and its residual squared.
@group(0) @binding(1) var<storage, read> values: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> sorted_v: array<f32>;       // [batch, side, side]
@group(0) @binding(3) var<storage, read_write> sorted_values: array<f32>;  // [batch, side]
@group(0) @binding(4) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(5) var<uniform> params: Params;

const LANES = 64u;
const BEYOND = 1e38;  // the padding's eigenvalues are larger

var<workgroup> keys: array<f32, LANES>;

// Column j goes to the place of its rank: the number of smaller eigenvalues, or equal ones before
// it.
@compute @workgroup_size(LANES)
fn sort(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let side = params.side;
  let j = group.x * LANES + lane;
  var mine = 0.0;
  if (j < side) { mine = values[group.z * side + j].x; }
  var rank = 0u;
  for (var k0 = 0u; k0 < side; k0 += LANES) {
    workgroupBarrier();
    if (k0 + lane < side) { keys[lane] = values[group.z * side + k0 + lane].x; }
    workgroupBarrier();
    for (var k = 0u; k < min(LANES, side - k0); k++) {
      if (keys[k] < mine || (keys[k] == mine && k0 + k < j)) { rank++; }
    }
  }
  if (j >= side) { return; }
  sorted_values[group.z * side + rank] = mine;
  for (var i = 0u; i < side; i++) {
    let row = (group.z * side + i) * side;
    sorted_v[row + rank] = v[row + j];
  }
}

// residual, condition, smallest and negative of one matrix.
var<workgroup> squares: array<f32, LANES>;
// Smallest and largest |w|, smallest w, number of negative ones.
var<workgroup> sizes: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn judge_eigh(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var square = 0.0;
  var mine = vec4f(BEYOND, 0.0, BEYOND, 0.0);
  for (var j = lane; j < params.side; j += LANES) {
    let value = values[group.z * params.side + j];
    if (value.x > BEYOND) { continue; }
    square += value.y;
    let w = value.x;
    mine = joined(mine, vec4f(abs(w), abs(w), w, select(0.0, 1.0, w < 0.0)));
  }
  squares[lane] = square;
  sizes[lane] = mine;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) {
      squares[lane] += squares[lane + half];
      sizes[lane] = joined(sizes[lane], sizes[lane + half]);
    }
    workgroupBarrier();
  }
  if (lane > 0) { return; }

  let found = sizes[0];
  let norm = states[group.z].norm;
  let is_zero = norm == 0.0;
  states[group.z].residual = select(sqrt(squares[0]) / norm, 0.0, is_zero);
  states[group.z].condition = select(found.y / found.x, 1.0, is_zero);
  states[group.z].smallest = found.z * power_of_two(-states[group.z].exponent);
  states[group.z].negative = found.w;
}

fn joined(x: vec4f, y: vec4f) -> vec4f {
  return vec4f(min(x.x, y.x), max(x.y, y.y), min(x.z, y.z), x.w + y.w);
}
