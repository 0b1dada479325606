// Inverses of small symmetric positive definite matrices, and their judgement: a workgroup a matrix.
//
// An invocation holds one of the blocks of 8 x 8 on and below the diagonal in registers. The sweep
// operator inverts S = 2^exponent (M + shift I) in place, pivot by pivot: with its column k as u and
// p = S_kk,
//
//   S_ij <- S_ij - u_i u_j / p  (i, j != k),   S_ik <- u_i / p,   S_kk <- -1 / p
//
// and after the last pivot it holds -S^-1. Where u_k stands for p - 1, the first rule is the second
// too. The pivots are the squares of Cholesky's: one that is not positive counts as 1 and is noted.
//
// Source: Goodnight 1979, "A tutorial on the SWEEP operator". Joined with state.wgsl and signs.wgsl;
// judge_inverse.wgsl says what is measured.

override BLOCKS: u32;  // along a side
override QUADS = 2 * BLOCKS;
override SIDE = 8 * BLOCKS;
override LANES = BLOCKS * (BLOCKS + 1) / 2;

struct Member {
  size: u32,    // d: rows before padding
  source: u32,  // element at which its matrix starts
  result: u32,  // element at which its inverse starts, or NONE where the pivots are all that matters
}

const NONE = 0xffffffffu;

@group(0) @binding(0) var<storage, read> sources: array<f32>;  // [d, d] each
@group(0) @binding(1) var<storage, read> members: array<Member>;
@group(0) @binding(2) var<storage, read> shifts: array<f32>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;  // as the sources
@group(0) @binding(4) var<storage, read_write> states: array<MatrixState>;

alias Block = array<vec4f, 16>;  // row r is (b[2r], b[2r + 1]); indexed by constants alone

var<workgroup> u: array<vec4f, 2 * QUADS>;  // in two places by turns
var<workgroup> reciprocal: array<f32, 2>;   // 1 / p
var<workgroup> failed: array<f32, BLOCKS>;  // pivots of each block of the diagonal
var<workgroup> x: array<vec4f, 4 * QUADS>;  // four vectors, one after the other
var<workgroup> y: array<vec4f, 4 * QUADS>;
var<workgroup> parts: array<vec4f, QUADS * BLOCKS>;
var<workgroup> sums: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn small_inverse(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let member = members[group.x];
  let shift = shifts[group.x];
  let place = lower_block(lane);
  var b: Block;
  let largest = max(largest_of(load(&b, member, place), lane), abs(shift));
  var state = MatrixState();
  state.size = f32(member.size);
  state.shift = shift;
  if (largest > 0.0) { state.exponent = 127.0 - f32(bitcast<u32>(largest) >> 23u); }
  let scale = power_of_two(state.exponent);

  prepare(&b, member, place, scale, scale * shift);
  if (member.result == NONE) {
    state.failed = sweep(&b, place, true);
    if (lane == 0) { states[group.x] = state; }
    return;
  }

  signs_to_x(member.size, lane);
  let m_once = sum_of(multiply(&b, place, lane), lane);
  y_to_x(lane);
  let m_twice = sum_of(multiply(&b, place, lane), lane);

  state.failed = sweep(&b, place, false);
  scale_by(&b, -1.0);
  signs_to_x(member.size, lane);
  let x_once = sum_of(multiply(&b, place, lane), lane);
  y_to_x(lane);
  unload(&b, member, place, scale);
  let x_twice = sum_of(multiply(&b, place, lane), lane);

  load(&b, member, place);
  prepare(&b, member, place, scale, scale * shift);
  multiply(&b, place, lane);
  let missed = sum_of(missed_by_y(member.size, lane), lane);
  if (lane > 0) { return; }
  state.residual = sqrt(dot(missed, vec4f(0.25)) / state.size);
  state.condition = largest_in(sqrt(m_twice / m_once)) * largest_in(sqrt(x_twice / x_once));
  state.magnitude = sqrt(dot(x_once, vec4f(0.25)));
  states[group.x] = state;
}

// Block t of the lower triangle, column by column from the last: neighbours rest together.
fn lower_block(t: u32) -> vec2u {
  var row = u32((sqrt(8.0 * f32(t) + 1.0) - 1.0) / 2.0);
  if (row * (row + 1) / 2 > t) { row--; }  // the root may be rounded either way
  if ((row + 1) * (row + 2) / 2 <= t) { row++; }
  return BLOCKS - 1 - vec2u(t - row * (row + 1) / 2, row);
}

// The block of (M + M^T) / 2, zero outside. Returns its largest value.
fn load(b: ptr<function, Block>, member: Member, place: vec2u) -> f32 {
  var largest = vec4f(0.0);
  largest = max(largest, load_row(b, member, place, 0u));
  largest = max(largest, load_row(b, member, place, 1u));
  largest = max(largest, load_row(b, member, place, 2u));
  largest = max(largest, load_row(b, member, place, 3u));
  largest = max(largest, load_row(b, member, place, 4u));
  largest = max(largest, load_row(b, member, place, 5u));
  largest = max(largest, load_row(b, member, place, 6u));
  largest = max(largest, load_row(b, member, place, 7u));
  return largest_in(largest);
}

fn load_row(b: ptr<function, Block>, member: Member, place: vec2u, r: u32) -> vec4f {
  let i = 8 * place.x + r;
  let j = 8 * place.y;
  let low = vec4f(
    mean(member, i, j), mean(member, i, j + 1), mean(member, i, j + 2), mean(member, i, j + 3),
  );
  let high = vec4f(
    mean(member, i, j + 4), mean(member, i, j + 5), mean(member, i, j + 6), mean(member, i, j + 7),
  );
  (*b)[2 * r] = low;
  (*b)[2 * r + 1] = high;
  return max(abs(low), abs(high));
}

fn mean(member: Member, i: u32, j: u32) -> f32 {
  let d = member.size;
  if (i >= d || j >= d) { return 0.0; }
  return 0.5 * sources[member.source + i * d + j] + 0.5 * sources[member.source + j * d + i];
}

fn scale_by(b: ptr<function, Block>, factor: f32) {
  (*b)[0] *= factor;
  (*b)[1] *= factor;
  (*b)[2] *= factor;
  (*b)[3] *= factor;
  (*b)[4] *= factor;
  (*b)[5] *= factor;
  (*b)[6] *= factor;
  (*b)[7] *= factor;
  (*b)[8] *= factor;
  (*b)[9] *= factor;
  (*b)[10] *= factor;
  (*b)[11] *= factor;
  (*b)[12] *= factor;
  (*b)[13] *= factor;
  (*b)[14] *= factor;
  (*b)[15] *= factor;
}

// Scales and shifts, with 1 on the padding's diagonal.
fn prepare(b: ptr<function, Block>, member: Member, place: vec2u, scale: f32, shift: f32) {
  scale_by(b, scale);
  if (place.x != place.y) { return; }
  let i = 8 * place.x + vec4u(0, 1, 2, 3);
  let d = vec4u(member.size);
  let low = select(vec4f(1.0), vec4f(shift), i < d);
  let high = select(vec4f(1.0), vec4f(shift), i + 4 < d);
  (*b)[0].x += low.x;
  (*b)[2].y += low.y;
  (*b)[4].z += low.z;
  (*b)[6].w += low.w;
  (*b)[9].x += high.x;
  (*b)[11].y += high.y;
  (*b)[13].z += high.z;
  (*b)[15].w += high.w;
}

// Sweeps every pivot. Returns how many were not positive.
//
// With pivots_only blocks rest once their columns are swept: no later pivot depends on them.
fn sweep(b: ptr<function, Block>, place: vec2u, pivots_only: bool) -> f32 {
  var mine = 0.0;
  for (var block = 0u; block < BLOCKS; block++) {
    let is_awake = !pivots_only || place.y >= block;
    mine += sweep_pivot(b, place, block, 0u, is_awake);
    mine += sweep_pivot(b, place, block, 1u, is_awake);
    mine += sweep_pivot(b, place, block, 2u, is_awake);
    mine += sweep_pivot(b, place, block, 3u, is_awake);
    mine += sweep_pivot(b, place, block, 4u, is_awake);
    mine += sweep_pivot(b, place, block, 5u, is_awake);
    mine += sweep_pivot(b, place, block, 6u, is_awake);
    mine += sweep_pivot(b, place, block, 7u, is_awake);
  }
  if (place.x == place.y) { failed[place.x] = mine; }
  workgroupBarrier();
  var all = 0.0;
  for (var i = 0u; i < BLOCKS; i++) { all += failed[i]; }
  return all;
}

// Sweeps pivot r of a block of the diagonal; r is a constant. Returns 1 where that failed.
//
// Its loops run once or not at all: a device that takes both ways of an `if` leaves a loop early.
fn sweep_pivot(
  b: ptr<function, Block>, place: vec2u, block: u32, r: u32, is_awake: bool,
) -> f32 {
  let turn = (r & 1) * QUADS;
  let half = r / 4;
  let along = r % 4;
  let is_pivot = place.x == block && place.y == block;
  var failure = 0.0;
  while (is_awake && (place.x == block || place.y == block)) {
    // A block beside the pivot's holds column k as its row r: S is symmetric.
    let is_row = place.x == block;
    var low = select(
      vec4f((*b)[half][along], (*b)[2 + half][along], (*b)[4 + half][along], (*b)[6 + half][along]),
      (*b)[2 * r], is_row);
    var high = select(
      vec4f((*b)[8 + half][along], (*b)[10 + half][along], (*b)[12 + half][along],
            (*b)[14 + half][along]),
      (*b)[2 * r + 1], is_row);
    if (is_pivot) {
      var p = (*b)[2 * r + half][along];
      if (!(p > 0.0)) {
        p = 1.0;
        failure = 1.0;
      }
      if (r < 4) { low[along] = p - 1.0; } else { high[along] = p - 1.0; }
      reciprocal[r & 1] = 1.0 / p;
    }
    let at = turn + 2 * select(place.x, place.y, is_row);
    u[at] = low;
    u[at + 1] = high;
    break;
  }
  workgroupBarrier();

  while (is_awake) {
    let d = reciprocal[r & 1];
    let i = turn + 2 * place.x;
    let j = turn + 2 * place.y;
    let top = u[i];
    let bottom = u[i + 1];
    let left = -d * u[j];
    let right = -d * u[j + 1];
    update(b, 0u, top.x, left, right);
    update(b, 2u, top.y, left, right);
    update(b, 4u, top.z, left, right);
    update(b, 6u, top.w, left, right);
    update(b, 8u, bottom.x, left, right);
    update(b, 10u, bottom.y, left, right);
    update(b, 12u, bottom.z, left, right);
    update(b, 14u, bottom.w, left, right);
    if (is_pivot) { (*b)[2 * r + half][along] = -d; }
    break;
  }
  return failure;
}

fn update(b: ptr<function, Block>, at: u32, u_i: f32, left: vec4f, right: vec4f) {
  (*b)[at] = fma(vec4f(u_i), left, (*b)[at]);
  (*b)[at + 1] = fma(vec4f(u_i), right, (*b)[at + 1]);
}

// y = S x, S being of all the invocations' blocks. Returns the squares of this one's part of y.
fn multiply(b: ptr<function, Block>, place: vec2u, lane: u32) -> vec4f {
  var squares = vec4f(0.0);
  for (var v = 0u; v < 4; v++) {
    let rows = 2 * place.x;
    let columns = 2 * place.y;
    let left = x[v * QUADS + columns];
    let right = x[v * QUADS + columns + 1];
    let at = place.y * QUADS + rows;
    parts[at] = vec4f(
      row_times(b, 0u, left, right), row_times(b, 1u, left, right),
      row_times(b, 2u, left, right), row_times(b, 3u, left, right),
    );
    parts[at + 1] = vec4f(
      row_times(b, 4u, left, right), row_times(b, 5u, left, right),
      row_times(b, 6u, left, right), row_times(b, 7u, left, right),
    );
    if (place.x != place.y) {
      let top = x[v * QUADS + rows];
      let bottom = x[v * QUADS + rows + 1];
      let mirror = place.x * QUADS + columns;
      parts[mirror] = top.x * (*b)[0] + top.y * (*b)[2] + top.z * (*b)[4] + top.w * (*b)[6] +
          bottom.x * (*b)[8] + bottom.y * (*b)[10] + bottom.z * (*b)[12] + bottom.w * (*b)[14];
      parts[mirror + 1] = top.x * (*b)[1] + top.y * (*b)[3] + top.z * (*b)[5] + top.w * (*b)[7] +
          bottom.x * (*b)[9] + bottom.y * (*b)[11] + bottom.z * (*b)[13] + bottom.w * (*b)[15];
    }
    workgroupBarrier();
    for (var q = lane; q < QUADS; q += LANES) {
      var sum = vec4f(0.0);
      for (var s = q; s < BLOCKS * QUADS; s += 4 * QUADS) {
        sum += (parts[s] + parts[s + QUADS]) + (parts[s + 2 * QUADS] + parts[s + 3 * QUADS]);
      }
      y[v * QUADS + q] = sum;
      squares[v] += dot(sum, sum);
    }
    workgroupBarrier();
  }
  return squares;
}

fn row_times(b: ptr<function, Block>, r: u32, left: vec4f, right: vec4f) -> f32 {
  return dot((*b)[2 * r], left) + dot((*b)[2 * r + 1], right);
}

// x becomes four sign vectors, zero in the padding.
fn signs_to_x(size: u32, lane: u32) {
  for (var q = lane; q < QUADS; q += LANES) {
    let quad = signs_of_quad(size, q);
    for (var v = 0u; v < 4; v++) { x[v * QUADS + q] = quad[v]; }
  }
  workgroupBarrier();
}

// Rows 4q .. 4q+3 of the sign vectors, row v being of vector v.
fn signs_of_quad(size: u32, q: u32) -> mat4x4f {
  let i = 4 * q;
  return transpose(mat4x4f(
    sign_within(size, i), sign_within(size, i + 1), sign_within(size, i + 2),
    sign_within(size, i + 3),
  ));
}

fn sign_within(size: u32, i: u32) -> vec4f {
  return select(vec4f(0.0), signs(i), i < size);
}

fn y_to_x(lane: u32) {
  for (var q = lane; q < 4 * QUADS; q += LANES) { x[q] = y[q]; }
  workgroupBarrier();
}

// Squares of y - signs; both are zero in the padding.
fn missed_by_y(size: u32, lane: u32) -> vec4f {
  var squares = vec4f(0.0);
  for (var q = lane; q < QUADS; q += LANES) {
    let quad = signs_of_quad(size, q);
    for (var v = 0u; v < 4; v++) {
      let miss = y[v * QUADS + q] - quad[v];
      squares[v] += dot(miss, miss);
    }
  }
  return squares;
}

// The block and its mirror, in the units of the matrix as it came.
fn unload(b: ptr<function, Block>, member: Member, place: vec2u, scale: f32) {
  unload_row(member, place, 0u, scale * (*b)[0], scale * (*b)[1]);
  unload_row(member, place, 1u, scale * (*b)[2], scale * (*b)[3]);
  unload_row(member, place, 2u, scale * (*b)[4], scale * (*b)[5]);
  unload_row(member, place, 3u, scale * (*b)[6], scale * (*b)[7]);
  unload_row(member, place, 4u, scale * (*b)[8], scale * (*b)[9]);
  unload_row(member, place, 5u, scale * (*b)[10], scale * (*b)[11]);
  unload_row(member, place, 6u, scale * (*b)[12], scale * (*b)[13]);
  unload_row(member, place, 7u, scale * (*b)[14], scale * (*b)[15]);
}

fn unload_row(member: Member, place: vec2u, r: u32, low: vec4f, high: vec4f) {
  let i = 8 * place.x + r;
  let j = 8 * place.y;
  store(member, i, j, low.x);
  store(member, i, j + 1, low.y);
  store(member, i, j + 2, low.z);
  store(member, i, j + 3, low.w);
  store(member, i, j + 4, high.x);
  store(member, i, j + 5, high.y);
  store(member, i, j + 6, high.z);
  store(member, i, j + 7, high.w);
}

fn store(member: Member, i: u32, j: u32, value: f32) {
  if (i >= member.size || j > i) { return; }
  results[member.result + i * member.size + j] = value;
  results[member.result + j * member.size + i] = value;
}

fn largest_in(v: vec4f) -> f32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

fn largest_of(mine: f32, lane: u32) -> f32 {
  sums[lane].x = mine;
  workgroupBarrier();
  for (var n = LANES; n > 1; n = (n + 1) / 2) {
    let half = (n + 1) / 2;
    if (lane + half < n) { sums[lane].x = max(sums[lane].x, sums[lane + half].x); }
    workgroupBarrier();
  }
  return sums[0].x;
}

fn sum_of(mine: vec4f, lane: u32) -> vec4f {
  workgroupBarrier();  // the sums of the call before were read
  sums[lane] = mine;
  workgroupBarrier();
  for (var n = LANES; n > 1; n = (n + 1) / 2) {
    let half = (n + 1) / 2;
    if (lane + half < n) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}
