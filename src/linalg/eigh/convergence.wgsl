// Decides, on the device, which matrices of a batch need another sweep.
//
// A matrix is settled once what first_order.wgsl leaves is below tolerance * |M|_F: the entries too
// large for their gap, and the second order of the others, |E|_F |offdiag(A)|_F; and once no row of
// E is longer than max_turn, for the polish after it. Or it is settled once it is near and a sweep
// no longer helps. The workgroup counts of the next sweep become zero
// when all are settled, so that the sweeps recorded beyond cost empty dispatches and the host never
// has to look. Each matrix is judged alone. Joined with a form of reduce/.

struct Params {
  side: u32,
  pivots: u32,   // workgroups along x of the two kernels of a round
  tiles: u32,
  count: u32,    // matrices
  start: u32,    // 0 between sweeps; 1 before the first of a series; 2 as 1, and the norm is taken
  tolerance: f32,
  correctable: f32,  // part of the gap
  max_turn: f32,     // largest norm of a row of E
}

@group(0) @binding(0) var<storage, read> a: array<f32>;                   // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> row_squares: array<vec4f>; // [batch, side]
@group(0) @binding(2) var<storage, read_write> states: array<MatrixState>;
// Workgroups x, y, z of the pivots, then of the tiles.
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(4) var<uniform> params: Params;

const LANES = 64u;
alias Value = vec4f;

// Squares of a row: off the diagonal, of those too large to correct, of the corrections E, and of
// all entries, which the padding is left out of. One workgroup a row.
@compute @workgroup_size(LANES)
fn off_diagonal_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.z * params.side + group.x;
  let matrix = group.z * params.side * params.side;
  let own = a[matrix + group.x * (params.side + 1)];
  let is_settled = params.start == 0 && states[group.z].unsettled == 0.0;
  let end = select(params.side, 0u, is_settled);  // nothing to see
  var mine = vec4f(0.0);
  for (var j = lane; j < end; j += LANES) {
    let value = a[row * params.side + j];
    mine.w += value * value;
    if (j == group.x || value == 0.0) { continue; }
    mine.x += value * value;
    let gap = a[matrix + j * (params.side + 1)] - own;
    if (is_correctable(value, gap, params.correctable)) {
      let angle = small_angle(value, gap);
      mine.z += angle * angle;
    } else {
      mine.y += value * value;
    }
  }
  let sum = sum_of(mine, lane);
  if (lane > 0) { return; }
  row_squares[row] = select(sum, vec4f(sum.xyz, 0.0), group.x >= u32(states[group.z].size));
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
  var mine = vec4f(0.0);
  var largest = vec4f(0.0);
  for (var i = lane; i < params.side; i += LANES) {
    let row = row_squares[group.z * params.side + i];
    mine += row;
    largest = max(largest, row);
  }
  let sum = sum_of(mine, lane);
  workgroupBarrier();  // the sums were read
  largest = largest_of(largest, lane);
  if (lane > 0) { return; }

  var state = states[group.z];
  if (params.start == 2) { state.norm = sqrt(sum.w); }
  if (params.start > 0) {
    state.unsettled = 1.0;
    state.previous = state.norm;
  }
  let left = sqrt(sum.y) + sqrt(sum.x) * sqrt(sum.z);
  let limit = params.tolerance * state.norm;
  let is_far = left > limit || largest.z > params.max_turn * params.max_turn;
  let is_stuck = left > 0.5 * state.previous && left <= 1.4 * limit;
  // Written so that NaN counts as settled: the residual will tell.
  let goes_on = state.unsettled == 1.0 && is_far && !is_stuck;
  state.previous = left;
  state.unsettled = select(0.0, 1.0, goes_on);
  if (goes_on) {
    state.sweeps += 1.0;
    atomicMax(&counts[0], params.pivots);
    atomicMax(&counts[3], params.tiles);
  }
  states[group.z] = state;
}
