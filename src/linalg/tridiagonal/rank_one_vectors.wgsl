// The eigenvectors of a merge in terms of those before it: Z_new = Z U.
//
//   u_ij = zhat_i / (d_i - lambda_j), columns of length 1
//
// A pole that was left keeps its vector: a unit column. Then the rotations of deflate.wgsl, undone in
// the rows of U, so that Z keeps its blocks. Joined with merge.wgsl.

@group(0) @binding(0) var<storage, read> poles: array<Pole>;           // [batch, side]
@group(0) @binding(1) var<storage, read> counts: array<Counts>;        // [batch, merges]
@group(0) @binding(2) var<storage, read> roots: array<Root>;           // [batch, side]
@group(0) @binding(3) var<storage, read> weights: array<f32>;          // [batch, side]: zhat
@group(0) @binding(4) var<storage, read> rotations: array<Rotation>;   // [batch, side]
// [batch, side, side]: row i belongs to row i of Z^T, column j to row j of the new one.
@group(0) @binding(5) var<storage, read_write> u: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

const COLUMNS = 16u;
const ROWS = 16u;
var<workgroup> sums: array<f32, COLUMNS * ROWS>;

// A workgroup does 16 columns, 16 rows at a time.
@compute @workgroup_size(COLUMNS, ROWS)
fn rank_one_vectors(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_id) lane: vec3u,
) {
  let merge = merge_at(group.y);
  let size = merge.end - merge.start;
  let batch = group.z * params.side;
  let first = batch + merge.start;
  let count = counts[group.z * groups.y + group.y].moved;
  let j = group.x * COLUMNS + lane.x;
  if (group.x * COLUMNS >= size) { return; }
  var root = Root(0, 1.0);
  if (j < count) { root = roots[first + j]; }
  let origin = poles[first + root.origin].value;

  var square = 0.0;
  for (var i = lane.y; i < count; i += ROWS) {
    let entry = weights[first + i] / ((poles[first + i].value - origin) - root.eta);
    square += entry * entry;
  }
  sums[lane.y * COLUMNS + lane.x] = square;
  workgroupBarrier();
  for (var half = ROWS / 2; half > 0; half /= 2) {
    if (lane.y < half) {
      sums[lane.y * COLUMNS + lane.x] += sums[(lane.y + half) * COLUMNS + lane.x];
    }
    workgroupBarrier();
  }
  let scale = 1.0 / sqrt(sums[lane.x]);

  for (var i = lane.y; i < size; i += ROWS) {
    let pole = poles[first + i];
    var entry = select(0.0, 1.0, i == j);
    if (j < count) {
      entry = 0.0;
      if (i < count) { entry = scale * (weights[first + i] / ((pole.value - origin) - root.eta)); }
    }
    u[(batch + pole.vector) * params.side + merge.start + j] = entry;
  }
}

const LANES = 64u;

// A lane does one column: the rotations follow each other, the last first.
@compute @workgroup_size(LANES)
fn rotate_rows(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let merge = merge_at(group.y);
  let batch = group.z * params.side;
  let column = merge.start + group.x * LANES + lane;
  if (column >= merge.end) { return; }
  for (var r = counts[group.z * groups.y + group.y].rotations; r > 0; r--) {
    let turn = rotations[batch + merge.start + r - 1];
    let x_at = (batch + turn.x) * params.side + column;
    let y_at = (batch + turn.y) * params.side + column;
    let x = u[x_at];
    let y = u[y_at];
    u[x_at] = turn.c * x - turn.s * y;
    u[y_at] = turn.s * x + turn.c * y;
  }
}
