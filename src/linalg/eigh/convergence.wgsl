// Decides, on the device, which matrices of a batch need another sweep.
//
// A matrix is settled once |offdiag(A)|_F <= tolerance * |M|_F, or once it is near and a sweep no longer helps. The workgroup
// counts of the next sweep become zero when all are settled, so that the sweeps recorded beyond cost empty
// dispatches and the host never has to look. Each matrix is judged alone.

struct Params {
  side: u32,
  pivots: u32,   // workgroups along x of the two kernels of a round
  tiles: u32,
  count: u32,    // matrices
  is_first: u32, // no sweep yet: the norm of the matrix is taken here
  tolerance: f32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;                   // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> row_squares: array<vec2f>; // [batch, side]: off the diagonal, all
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>; // x, y, z of the pivots; of the tiles
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 64u;
var<workgroup> sums: array<vec2f, LANES>;

// One workgroup a row. Rows of the padding are left out of the norm.
@compute @workgroup_size(LANES)
fn off_diagonal_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.z * params.side + group.x;
  var mine = vec2f(0.0);
  for (var j = lane; j < params.side; j += LANES) {
    let value = a[row * params.side + j];
    mine += value * value * vec2f(select(1.0, 0.0, j == group.x), 1.0);
  }
  let sum = sum_of(mine, lane);
  if (lane > 0) { return; }
  row_squares[row] = select(sum, vec2f(sum.x, 0.0), group.x >= u32(states[group.z].size));
  if (group.x == 0 && group.z == 0) {
    atomicStore(&counts[0], 0u);
    atomicStore(&counts[1], 1u);
    atomicStore(&counts[2], params.count);
    atomicStore(&counts[3], 0u);
    atomicStore(&counts[4], 1u);
    atomicStore(&counts[5], params.count);
  }
}

// One workgroup a matrix.
@compute @workgroup_size(LANES)
fn convergence(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  var mine = vec2f(0.0);
  for (var i = lane; i < params.side; i += LANES) {
    mine += row_squares[group.z * params.side + i];
  }
  let sum = sum_of(mine, lane);
  if (lane > 0) { return; }

  var state = states[group.z];
  if (params.is_first == 1) {
    state.norm = sqrt(sum.y);
    state.unsettled = 1.0;
    state.previous = state.norm;
  }
  let off = sqrt(sum.x);
  let is_stuck = off > 0.5 * state.previous && off <= 8.0 * params.tolerance * state.norm;
  // Written so that NaN counts as settled: the residual will tell.
  let goes_on = state.unsettled == 1.0 && off > params.tolerance * state.norm && !is_stuck;
  state.previous = off;
  state.unsettled = select(0.0, 1.0, goes_on);
  if (goes_on) {
    state.sweeps += 1.0;
    atomicMax(&counts[0], params.pivots);
    atomicMax(&counts[3], params.tiles);
  }
  states[group.z] = state;
}

fn sum_of(mine: vec2f, lane: u32) -> vec2f {
  sums[lane] = mine;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}
