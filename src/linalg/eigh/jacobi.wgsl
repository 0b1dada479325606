// Two-sided cyclic Jacobi on one small symmetric matrix, in one workgroup: A = Q diag Q^T.
//
// The matrix is the pivot of a block pair (I, J) of a larger one, 2b on a side, or the whole of a
// matrix of that size (two blocks, one pair). A sweep visits every pair (p, q) once, in M - 1 steps
// of M / 2 disjoint pairs: a round robin in which the last index stays and the others move around.
// A step computes all its rotations, then applies all of them to A and to Q^T.
//
// Rotations are Rutishauser's: x' = x - s (y + tau x), y' = y + s (x - tau y), tau = s / (1 + c).
// Written with c and s, every small rotation would stretch the vectors (fl(c) = 1), thirty times
// the error after a few sweeps.
//
// A is kept as a packed lower triangle in workgroup memory, Q^T there too where the device has room
// (SHARE_Q), else in storage. Columns of Q are sorted by descending diagonal, which speeds up the
// block method.
//
// Source: Rutishauser 1966, The Jacobi method for real symmetric matrices; Brent and Luk 1985 for
// the ordering.

override M: u32;        // side, even
override LANES: u32;    // invocations, >= M / 2
override SHARE_Q: bool;
override SHARED_Q_CELLS: u32;  // M * M, or 1 where Q^T is in storage

override PAIRS = M / 2;
override CELLS = M * (M + 1) / 2;
override BLOCKS = PAIRS * (PAIRS + 1) / 2;  // of 2 x 2 on and below the diagonal

struct Params {
  side: u32,        // of the whole matrix
  blocks: u32,      // of M / 2 rows each
  round: u32,       // of the block round robin, or one of the two of neighbours after it
  max_sweeps: u32,  // inside the pivot
}

@group(0) @binding(0) var<storage, read> a: array<f32>;               // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> q: array<f32>;         // [batch, blocks / 2, M, M]
@group(0) @binding(2) var<storage, read_write> q_scratch: array<f32>; // as q; unused with SHARE_Q
@group(0) @binding(3) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> triangle: array<f32, CELLS>;
var<workgroup> q_shared: array<f32, SHARED_Q_CELLS>;
var<workgroup> rotations: array<vec3f, PAIRS>;  // s, tau, tan of each pair of a step
var<workgroup> pairs: array<vec2u, PAIRS>;      // p < q
var<workgroup> places: array<u32, BLOCKS>;      // of each block: its row, and its column << 16
var<workgroup> rank: array<u32, M>;
var<workgroup> rotated: atomic<u32>;            // whether a rotation of this sweep did something
var<workgroup> flag: u32;

@compute @workgroup_size(LANES)
fn jacobi(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (lane == 0) { flag = u32(states[group.z].unsettled); }
  let is_alone = params.blocks == 2;  // the whole matrix: Q is wanted even of a diagonal one
  if (workgroupUniformLoad(&flag) == 0 && !is_alone) { return; }  // settled in an earlier sweep

  let block_pair = pair_of_blocks(group.x, params.round, params.blocks);
  let q_at = (group.z * (params.blocks / 2) + group.x) * M * M;
  for (var e = lane; e < M * M; e += LANES) {
    let r = e / M;
    let c = e % M;
    if (c <= r) {
      let origin = (group.z * params.side + global_row(block_pair, r)) * params.side;
      triangle[packed(r, c)] = a[origin + global_row(block_pair, c)];
    }
    store_q(q_at, e, select(0.0, 1.0, r == c));
  }
  for (var e = lane; e < PAIRS * PAIRS; e += LANES) {
    let i = e / PAIRS;
    let j = e % PAIRS;
    if (j <= i) { places[packed(i, j)] = i | (j << 16); }
  }

  // Entries below this are noise of the whole matrix; rotating them away would never end.
  let negligible = 1e-9 * states[group.z].norm;
  var sweeps = 0u;
  for (; sweeps < params.max_sweeps; sweeps++) {
    var has_rotated = false;
    if (lane == 0) { atomicStore(&rotated, 0u); }
    for (var step = 0u; step < M - 1; step++) {
      step_barrier();
      if (lane < PAIRS) { has_rotated = choose_rotation(lane, step, negligible) || has_rotated; }
      workgroupBarrier();
      rotate_triangle(lane);
      rotate_q(q_at, lane);
    }
    if (has_rotated) { atomicOr(&rotated, 1u); }
    step_barrier();
    if (lane == 0) { flag = atomicLoad(&rotated); }
    if (workgroupUniformLoad(&flag) == 0) { break; }
  }

  for (var i = lane; i < M; i += LANES) { rank[i] = descending_rank(i); }
  step_barrier();
  for (var e = lane; e < M * M; e += LANES) {
    // Neighbours read along a row of Q^T and write down a column of Q.
    q[q_at + (e % M) * M + rank[e / M]] = load_q(q_at, e);
  }
  if (lane == 0 && is_alone) { states[group.z].sweeps = f32(sweeps); }
}

// Where Q^T is in storage, a step must see both memories of the step before. The barrier of storage
// is a fence of the whole device on some, so it is not had for nothing.
fn step_barrier() {
  if (!SHARE_Q) { storageBarrier(); }
  workgroupBarrier();
}

// Players i of step s: one pair of `count` indices, all pairs of a step disjoint, all pairs met in
// count - 1 steps.
fn round_robin(i: u32, s: u32, count: u32) -> vec2u {
  let moving = count - 1;
  if (i == 0) { return vec2u(s, moving); }
  let x = (s + i) % moving;
  let y = (s + moving - i) % moving;
  return vec2u(min(x, y), max(x, y));
}

// After the round robin's rounds come two of neighbours: (0, 1), (2, 3) .. and (1, 2), (3, 4) ..
fn pair_of_blocks(i: u32, round: u32, blocks: u32) -> vec2u {
  if (round < blocks - 1) { return round_robin(i, round, blocks); }
  let x = 2 * i + round + 1 - blocks;
  return select(vec2u(x, x + 1), vec2u(0, x), x + 1 == blocks);
}

// Row of the whole matrix that is row r of the pivot.
fn global_row(block_pair: vec2u, r: u32) -> u32 {
  return select(block_pair.y * PAIRS + r - PAIRS, block_pair.x * PAIRS + r, r < PAIRS);
}

fn packed(r: u32, c: u32) -> u32 {
  let low = max(r, c);
  return low * (low + 1) / 2 + min(r, c);
}

// The rotation that makes A[p, q] zero, or none where it is small already. Whether there is one.
fn choose_rotation(lane: u32, step: u32, negligible: f32) -> bool {
  let pair = round_robin(lane, step, M);
  let a_pp = triangle[packed(pair.x, pair.x)];
  let a_qq = triangle[packed(pair.y, pair.y)];
  let a_pq = triangle[packed(pair.y, pair.x)];
  var rotation = vec3f(0.0);
  if (abs(a_pq) > max(negligible, 6e-8 * sqrt(abs(a_pp)) * sqrt(abs(a_qq)))) {
    let theta = (a_qq - a_pp) / (2.0 * a_pq);
    var t = 0.5 / theta;  // its limit: theta^2 must not overflow
    if (abs(theta) < 1e8) {
      t = select(1.0, -1.0, theta < 0.0) / (abs(theta) + sqrt(theta * theta + 1.0));
    }
    let c = 1.0 / sqrt(t * t + 1.0);
    let s = t * c;
    rotation = vec3f(s, s / (1.0 + c), t);
  }
  rotations[lane] = rotation;
  pairs[lane] = pair;
  return rotation.x != 0.0;
}

// Every 2 x 2 block of A belongs to one pair of rows and one of columns: all are done at once,
// without a second barrier.
fn rotate_triangle(lane: u32) {
  for (var e = lane; e < BLOCKS; e += LANES) {
    let place = places[e];
    let i = place & 0xffff;
    let j = place >> 16;
    let rows = pairs[i];
    let row = rotations[i];
    if (i == j) {
      let at = packed(rows.y, rows.x);
      if (row.x != 0.0) {
        let change = row.z * triangle[at];
        triangle[packed(rows.x, rows.x)] -= change;
        triangle[packed(rows.y, rows.y)] += change;
        triangle[at] = 0.0;
      }
      continue;
    }
    let columns = pairs[j];
    let column = rotations[j];
    if (row.x == 0.0 && column.x == 0.0) { continue; }
    let at = vec4u(packed(rows.x, columns.x), packed(rows.x, columns.y),
                   packed(rows.y, columns.x), packed(rows.y, columns.y));
    let upper = vec2f(triangle[at.x], triangle[at.y]);
    let lower = vec2f(triangle[at.z], triangle[at.w]);
    let top = rotate(row, upper, lower);
    let left = rotate_pair(column, top.x, top.y);
    let right = rotate_pair(column, top.z, top.w);
    triangle[at.x] = left.x;
    triangle[at.y] = left.y;
    triangle[at.z] = right.x;
    triangle[at.w] = right.y;
  }
}

// Rows x and y, two columns at a time: (x', y').
fn rotate(r: vec3f, x: vec2f, y: vec2f) -> vec4f {
  return vec4f(x - r.x * (y + r.y * x), y + r.x * (x - r.y * y));
}

fn rotate_pair(r: vec3f, x: f32, y: f32) -> vec2f {
  return vec2f(x - r.x * (y + r.y * x), y + r.x * (x - r.y * y));
}

fn rotate_q(q_at: u32, lane: u32) {
  for (var e = lane; e < PAIRS * M; e += LANES) {
    let rotation = rotations[e / M];
    if (rotation.x == 0.0) { continue; }
    let pair = pairs[e / M];
    let x_at = pair.x * M + e % M;
    let y_at = pair.y * M + e % M;
    let rotated_pair = rotate_pair(rotation, load_q(q_at, x_at), load_q(q_at, y_at));
    store_q(q_at, x_at, rotated_pair.x);
    store_q(q_at, y_at, rotated_pair.y);
  }
}

fn load_q(q_at: u32, cell: u32) -> f32 {
  if (SHARE_Q) { return q_shared[cell]; }
  return q_scratch[q_at + cell];
}

fn store_q(q_at: u32, cell: u32, value: f32) {
  if (SHARE_Q) {
    q_shared[cell] = value;
  } else {
    q_scratch[q_at + cell] = value;
  }
}

fn descending_rank(i: u32) -> u32 {
  let mine = triangle[packed(i, i)];
  var before = 0u;
  for (var j = 0u; j < M; j++) {
    let other = triangle[packed(j, j)];
    if (other > mine || (other == mine && j < i)) { before++; }
  }
  return before;
}
