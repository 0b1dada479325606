// Puts eigenpairs in ascending order and sums up how good they are. Joined with a form of reduce/.

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
const ROWS = 64u;     // of V that a workgroup moves
const BEYOND = 1e38;  // the padding's eigenvalues are larger
alias Value = vec3f;

var<workgroup> keys: array<f32, LANES>;

// Column j goes to the place of its rank: the number of smaller eigenvalues, or equal ones before
// it. A workgroup moves 64 columns of 64 rows.
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
  if (group.y == 0) { sorted_values[group.z * side + rank] = mine; }
  for (var i = group.y * ROWS; i < min(side, (group.y + 1) * ROWS); i++) {
    let row = (group.z * side + i) * side;
    sorted_v[row + rank] = v[row + j];
  }
}

// residual, condition, smallest and negative of one matrix.
@compute @workgroup_size(LANES)
fn judge_eigh(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var sums = vec3f(0.0);                        // of residuals squared, and of negative ones
  var extremes = vec3f(-BEYOND, 0.0, -BEYOND);  // the largest -|w|, |w| and -w
  for (var j = lane; j < params.side; j += LANES) {
    let value = values[group.z * params.side + j];
    if (value.x > BEYOND) { continue; }
    let w = value.x;
    sums += vec3f(value.y, select(0.0, 1.0, w < 0.0), 0.0);
    extremes = max(extremes, vec3f(-abs(w), abs(w), -w));
  }
  sums = sum_of(sums, lane);
  workgroupBarrier();  // the sums were read
  extremes = largest_of(extremes, lane);
  if (lane > 0) { return; }

  let norm = states[group.z].norm;
  let is_zero = norm == 0.0;
  states[group.z].residual = select(sqrt(sums.x) / norm, 0.0, is_zero);
  states[group.z].condition = select(extremes.y / -extremes.x, 1.0, is_zero);
  states[group.z].smallest = -extremes.z * power_of_two(-states[group.z].exponent);
  states[group.z].negative = sums.y;
}
